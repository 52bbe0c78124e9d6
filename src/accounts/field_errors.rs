//! What is wrong with a form, field by field.

use super::Error;

/// One thing that is wrong, in the words that the visitor reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// The `id` of the field that the summary links to.
    pub field: &'static str,
    /// The whole sentence: what is wrong and what to do.
    pub message: String,
    /// Whether the message is shown at the field too, and the field marked as wrong.
    pub marks_field: bool,
    /// Whether the message replaces the field's hint.
    pub replaces_hint: bool,
}

/// Everything that is wrong with a form, in the order of its fields.
#[derive(Clone, Debug, Default)]
pub struct FieldErrors(Vec<FieldError>);

impl FieldErrors {
    /// Notes what is wrong with `field`; its hint stays.
    pub fn add(&mut self, field: &'static str, message: impl Into<String>) {
        let (message, marks_field, replaces_hint) = (message.into(), true, false);
        self.0.push(FieldError { field, message, marks_field, replaces_hint });
    }

    /// Notes what is wrong with the form as a whole, and which field to go on with. No field is
    /// marked: at login that would tell which of the two was wrong (ASVS 6.3.8).
    pub fn add_for_form(&mut self, field: &'static str, message: impl Into<String>) {
        let (message, marks_field, replaces_hint) = (message.into(), false, false);
        self.0.push(FieldError { field, message, marks_field, replaces_hint });
    }

    /// Keeps the value, or notes why there is none. Each error but `missing` states the rule that
    /// was broken, so the hint does not repeat it.
    pub fn take<T, E: ToString + PartialEq>(
        &mut self,
        field: &'static str,
        parsed: Result<T, E>,
        missing: E,
    ) -> Option<T> {
        let error = match parsed {
            Ok(value) => return Some(value),
            Err(error) => error,
        };
        let (message, replaces_hint) = (error.to_string(), error != missing);
        self.0.push(FieldError { field, message, marks_field: true, replaces_hint });
        None
    }

    /// One thing wrong, with `field`.
    pub fn one(field: &'static str, message: impl Into<String>) -> Self {
        let mut errors = Self::default();
        errors.add(field, message);
        errors
    }

    /// One thing wrong with the form as a whole, see [`FieldErrors::add_for_form`].
    pub fn for_form(field: &'static str, message: impl Into<String>) -> Self {
        let mut errors = Self::default();
        errors.add_for_form(field, message);
        errors
    }

    /// `values`, unless something is wrong.
    pub fn check<T>(self, values: Option<T>) -> Result<T, Error> {
        values.filter(|_| self.is_empty()).ok_or(Error::Invalid(self))
    }

    /// Notes when a password and its repetition differ (ASVS 2.2.3).
    pub fn confirm(&mut self, password: &str, password_confirm: &str) {
        if password != password_confirm {
            self.add("password_confirm", "Passwords don't match.");
        }
    }

    /// What is wrong with `field`, if anything.
    pub fn of(&self, field: &str) -> Option<&str> {
        let mut marked = self.0.iter().filter(|error| error.marks_field);
        marked.find(|error| error.field == field).map(|error| error.message.as_str())
    }

    /// Whether the hint of `field` is left out.
    pub fn replaces_hint(&self, field: &str) -> bool {
        self.0.iter().any(|error| error.field == field && error.replaces_hint)
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All that is wrong, for the summary.
    pub fn all(&self) -> &[FieldError] {
        &self.0
    }
}
