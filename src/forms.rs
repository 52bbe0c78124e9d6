//! A form's fields, and what was wrong with them, field by field.

use axum::Form;
use axum::extract::rejection::FormRejection;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use serde::de::DeserializeOwned;

use crate::error::RequestError;

/// One thing that is wrong, in the words that the visitor reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// The `id` of the field that the summary links to.
    pub field: &'static str,
    /// The whole sentence: what is wrong and what to do.
    pub message: String,
    /// Whether the message stands at the field too, and the field is marked as wrong.
    pub marks_field: bool,
}

/// Everything that is wrong with a form, in the order of its fields.
#[derive(Clone, Debug, Default)]
pub struct Errors(Vec<FieldError>);

impl Errors {
    /// Notes what is wrong with `field`.
    pub fn add(&mut self, field: &'static str, message: impl Into<String>) {
        self.0.push(FieldError { field, message: message.into(), marks_field: true });
    }

    /// Notes what is wrong with the form as a whole, and which field to go on with. No field is
    /// marked: at login that would tell which of the two was wrong (ASVS 6.3.8).
    pub fn add_for_form(&mut self, field: &'static str, message: impl Into<String>) {
        self.0.push(FieldError { field, message: message.into(), marks_field: false });
    }

    /// Keeps the value, or notes why there is none.
    pub fn take<T, E: ToString>(&mut self, field: &'static str, parsed: Result<T, E>) -> Option<T> {
        match parsed {
            Ok(value) => Some(value),
            Err(error) => {
                self.add(field, error.to_string());
                None
            }
        }
    }

    /// One thing wrong, with `field`.
    pub fn one(field: &'static str, message: impl Into<String>) -> Self {
        let mut errors = Self::default();
        errors.add(field, message);
        errors
    }

    /// Notes when a password and its repetition differ (ASVS 2.2.3).
    pub fn confirm(&mut self, password: &str, password_confirm: &str) {
        if password != password_confirm {
            self.add("password_confirm", "The two passwords differ. Type the same one twice.");
        }
    }

    /// What is wrong with `field`, if anything.
    pub fn of(&self, field: &str) -> Option<&str> {
        let mut marked = self.0.iter().filter(|error| error.marks_field);
        marked.find(|error| error.field == field).map(|error| error.message.as_str())
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All that is wrong, for the summary.
    pub fn iter(&self) -> std::slice::Iter<'_, FieldError> {
        self.0.iter()
    }
}

/// The words for a form that arrived with a field twice or in no readable shape.
pub const UNREADABLE: &str = "The form did not arrive as this page sends it. Go back, load the page again and send it once more.";

/// A form's fields, read strictly: urlencoded, within the body limit, no field twice (ASVS 15.3.7).
#[derive(Clone, Debug)]
pub struct Fields<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Fields<T> {
    type Rejection = RequestError;

    async fn from_request(request: Request, state: &S) -> Result<Self, RequestError> {
        match Form::<T>::from_request(request, state).await {
            Ok(Form(fields)) => Ok(Self(fields)),
            Err(FormRejection::InvalidFormContentType(_)) => Err(RequestError::NotAForm),
            Err(other) if other.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                Err(RequestError::TooLarge)
            }
            Err(_) => Err(RequestError::Unreadable),
        }
    }
}
