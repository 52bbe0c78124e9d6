//! A row of an import, and how a line of JSON is read as one.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::error::Category;
use serde_json::{Map, Value};

/// An account as the other program has it.
#[derive(Default)]
pub struct ImportRow {
    pub username: Option<String>,
    pub email: Option<String>,
    /// This and the next two as in [`crate::imported_hash::Source`].
    pub hash: Option<String>,
    pub kind: Option<String>,
    pub extra: Option<Map<String, Value>>,
    pub email_verified: Option<bool>,
    pub disabled: Option<bool>,
    /// RFC 3339.
    pub created_at: Option<String>,
}

const FIELDS: &str = "username, email, hash, kind, extra, email_verified, disabled and created_at";

impl ImportRow {
    /// Reads a JSON object. The error is for the operator, and never repeats a hash.
    pub fn parse(line: &[u8]) -> Result<Self, String> {
        let text = str::from_utf8(line)
            .map_err(|error| format!("this is not UTF-8 (byte {})", error.valid_up_to() + 1))?;
        let parsed = serde_json::from_str(text.trim_end());
        let Fields(fields) = parsed.map_err(|error| explain(&error))?;
        let mut row = Self::default();
        for (at, (name, value)) in fields.iter().enumerate() {
            if fields[..at].iter().any(|(before, _)| before == name) {
                return Err(format!("{name} is there twice"));
            }
            match name.as_str() {
                "username" => row.username = text_of(name, value)?,
                "email" => row.email = text_of(name, value)?,
                "hash" => row.hash = text_of(name, value)?,
                "kind" => row.kind = text_of(name, value)?,
                "created_at" => row.created_at = text_of(name, value)?,
                "email_verified" => row.email_verified = bool_of(name, value)?,
                "disabled" => row.disabled = bool_of(name, value)?,
                "extra" => row.extra = object_of(name, value)?,
                _ => return Err(format!("{name:?} is no field: expected {FIELDS}")),
            }
        }
        Ok(row)
    }
}

fn text_of(name: &str, value: &Value) -> Result<Option<String>, String> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.clone())),
        _ => Err(wrong(name, "a text in quotes", value)),
    }
}

fn bool_of(name: &str, value: &Value) -> Result<Option<bool>, String> {
    match value {
        Value::Null => Ok(None),
        Value::Bool(is_true) => Ok(Some(*is_true)),
        _ => Err(wrong(name, "true or false", value)),
    }
}

fn object_of(name: &str, value: &Value) -> Result<Option<Map<String, Value>>, String> {
    match value {
        Value::Null => Ok(None),
        Value::Object(fields) => Ok(Some(fields.clone())),
        _ => Err(wrong(name, "an object", value)),
    }
}

fn wrong(name: &str, expected: &str, value: &Value) -> String {
    let found = match value {
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        _ if ["hash", "kind", "extra"].contains(&name) => "what is there".to_owned(),
        other => other.to_string(),
    };
    format!("{name} must be {expected}, not {found}")
}

/// In the words of JSON: serde's own tell of a place in another text.
fn explain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match error.classify() {
        Category::Eof => "the line ends within the object".to_owned(),
        Category::Data => "this is not a JSON object".to_owned(),
        _ => {
            let why = text.split(" at line ").next().unwrap_or(&text);
            format!("this is not JSON: {why} at byte {}", error.column())
        }
    }
}

/// The fields of an object, also those that it has twice.
struct Fields(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields;

    fn expecting(&self, to: &mut fmt::Formatter) -> fmt::Result {
        to.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Fields, M::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(Fields(fields))
    }
}
