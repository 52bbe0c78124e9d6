//! What is wrong with a form, field by field.

use std::fmt;

use super::Error;

#[derive(Clone, Debug)]
pub struct FieldError {
    /// The `id` of the field that the summary links to.
    pub field: &'static str,
    /// What is wrong and what to do, in the words that the visitor reads.
    pub message: String,
    /// Whether the message is shown at the field too, and the field marked as wrong.
    marks_field: bool,
    /// Whether the message states the rule that the hint states.
    replaces_hint: bool,
}

/// Everything that is wrong with a form, in the order of its fields.
#[derive(Clone, Debug, Default)]
pub struct FieldErrors(Vec<FieldError>);

impl FieldErrors {
    /// One thing wrong, with `field`.
    pub fn single(field: &'static str, message: impl Into<String>) -> Self {
        let (message, marks_field, replaces_hint) = (message.into(), true, false);
        Self(vec![FieldError { field, message, marks_field, replaces_hint }])
    }

    /// One thing wrong with the form as a whole, and the field to continue with. No field is marked: at
    /// login that would show which of the two was wrong (ASVS 6.3.8).
    pub fn for_form(field: &'static str, message: impl Into<String>) -> Self {
        let (message, marks_field, replaces_hint) = (message.into(), false, false);
        Self(vec![FieldError { field, message, marks_field, replaces_hint }])
    }

    pub fn add(&mut self, field: &'static str, message: impl Into<String>) {
        self.0.extend(Self::single(field, message).0);
    }

    /// Keeps the value, or adds the error. Each error but `missing` states the rule of the field.
    pub fn record<T, E: ToString + PartialEq>(
        &mut self,
        field: &'static str,
        parsed: Result<T, E>,
        missing: E,
    ) -> Option<T> {
        let add = |error: E| {
            let (message, replaces_hint) = (error.to_string(), error != missing);
            self.0.push(FieldError { field, message, marks_field: true, replaces_hint });
        };
        parsed.map_err(add).ok()
    }

    /// Adds an error when a password and its repetition differ (ASVS 2.2.3).
    pub fn confirm(&mut self, password: &str, password_confirm: &str) {
        if password != password_confirm {
            self.add("password_confirm", "Passwords don't match.");
        }
    }

    /// `values`, or the errors if there are any.
    pub fn into_result<T>(self, values: Option<T>) -> Result<T, Error> {
        values.filter(|_| self.is_empty()).ok_or(Error::Invalid(self))
    }

    /// What is wrong with `field`, if anything.
    pub fn get(&self, field: &str) -> Option<&str> {
        let mut marked = self.0.iter().filter(|error| error.marks_field);
        marked.find(|error| error.field == field).map(|error| error.message.as_str())
    }

    /// Whether the hint of `field` is left out.
    pub fn replaces_hint(&self, field: &str) -> bool {
        self.0.iter().any(|error| error.field == field && error.replaces_hint)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// For the summary.
    pub fn iter(&self) -> impl Iterator<Item = &FieldError> {
        self.0.iter()
    }
}

/// The messages, for a terminal.
impl fmt::Display for FieldErrors {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let messages: Vec<&str> = self.iter().map(|error| error.message.as_str()).collect();
        to.write_str(&messages.join(" "))
    }
}
