//! The parts of a record in the default places, read in one pass: text is borrowed from the message, what is
//! unknown is skipped, and a wrong type is remembered as a fault instead of ending the parse, so that only
//! broken JSON is an error of the parser.

use std::{borrow::Cow, fmt};

use domain::Reason;
use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use super::any::{Any, Take, Text};
use crate::{
    codec::{
        Fault,
        check::{Found, Tags},
        quoted,
    },
    config::{FEATURES_MAX, TAGS_MAX},
};

/// A record's parts as they were found.
pub(crate) struct Parts<'a> {
    pub(crate) series: Scalar<'a>,
    pub(crate) series_at: &'a str,
    pub(crate) time: Scalar<'a>,
    pub(crate) time_at: &'a str,
    pub(crate) record_id: Scalar<'a>,
    pub(crate) record_id_at: &'a str,
    /// At most [`FEATURES_MAX`] values.
    pub(crate) values: Found<'a>,
    /// How many values there are.
    pub(crate) values_total: usize,
    /// At most one more than [`TAGS_MAX`].
    pub(crate) tags: Tags<'a>,
    /// The first wrong type.
    pub(crate) fault: Option<Fault>,
}

/// A JSON value without what is in it, if it holds others.
#[derive(Debug, Default)]
pub(crate) enum Scalar<'a> {
    /// `null`, or nothing at all.
    #[default]
    Null,
    Bool(bool),
    Integer(i128),
    Float(f64),
    Text(Cow<'a, str>),
    Array,
    Object,
}

impl Default for Parts<'_> {
    fn default() -> Self {
        Self {
            series: Scalar::Null,
            series_at: "/series",
            time: Scalar::Null,
            time_at: "/time",
            record_id: Scalar::Null,
            record_id_at: "/record_id",
            values: Found::None,
            values_total: 0,
            tags: vec![],
            fault: None,
        }
    }
}

impl<'a> Scalar<'a> {
    /// As a series key: text, or a number as it is written.
    pub(crate) fn into_key(self) -> Result<Option<Cow<'a, str>>, Fault> {
        match self {
            Self::Null => Ok(None),
            Self::Text(text) => Ok(Some(text)),
            Self::Integer(number) => Ok(Some(Cow::Owned(number.to_string()))),
            Self::Float(number) => Ok(Some(Cow::Owned(number.to_string()))),
            other => Err(other.wrong_type("a text or a number")),
        }
    }

    /// As a value: a number, or NaN for none.
    pub(crate) fn value(&self) -> Result<f64, Fault> {
        match self {
            Self::Null => Ok(f64::NAN),
            Self::Integer(number) => Ok(*number as f64),
            Self::Float(number) => Ok(*number),
            other => Err(other.wrong_type("a number or null")),
        }
    }

    pub(crate) fn wrong_type(&self, expected: &str) -> Fault {
        let found = match self {
            Self::Null => "null".to_owned(),
            Self::Bool(value) => value.to_string(),
            Self::Integer(number) => number.to_string(),
            Self::Float(number) => number.to_string(),
            Self::Text(text) => format!("the text {}", quoted(text)),
            Self::Array => "an array".to_owned(),
            Self::Object => "an object".to_owned(),
        };
        Fault::new(Reason::WrongType, format!("{found} found where {expected} is expected"))
    }
}

impl<'a> Parts<'a> {
    pub(crate) fn wrong(&mut self, fault: Fault) {
        self.fault.get_or_insert(fault);
    }

    /// The field `value`.
    pub(crate) fn take_value(&mut self, value: &Scalar<'_>) {
        match value.value() {
            Ok(value) => {
                self.take_values(Collected { found: Found::One(value), total: 1, fault: None })
            }
            Err(fault) => self.wrong(fault.at("/value")),
        }
    }

    /// The field `values`; only one of both may be there.
    pub(crate) fn take_values(&mut self, collected: Collected<'a>) {
        if !matches!(self.values, Found::None) {
            let detail = "the record has both value and values: one of them is expected";
            self.wrong(Fault::new(Reason::WrongType, detail));
        }
        if let Some(fault) = collected.fault {
            self.wrong(fault);
        }
        self.values = collected.found;
        self.values_total = collected.total;
    }

    /// The field `tags`.
    pub(crate) fn take_tags(&mut self, tags: TagsFound<'a>) {
        if let Some(fault) = tags.fault {
            self.wrong(fault);
        }
        self.tags = tags.tags;
    }
}

impl<'de> Deserialize<'de> for Parts<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(PartsVisitor)
    }
}

struct PartsVisitor;

impl<'de> Visitor<'de> for PartsVisitor {
    type Value = Parts<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a record")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut parts = Parts::default();
        let mut seen = 0u8;
        while let Some(field) = map.next_key::<Field>()? {
            match field {
                Field::Series => parts.series = map.next_value()?,
                Field::Time => parts.time = map.next_value()?,
                Field::Value => {
                    let value = map.next_value()?;
                    parts.take_value(&value);
                }
                Field::Values => parts.take_values(map.next_value()?),
                Field::Tags => parts.take_tags(map.next_value()?),
                Field::RecordId => parts.record_id = map.next_value()?,
                Field::Other => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            }
            let bit = 1 << field as u8;
            if seen & bit != 0 {
                let detail = format!("{} stands twice in the record", field.name());
                parts.wrong(Fault::new(Reason::Undecodable, detail));
            }
            seen |= bit;
        }
        Ok(parts)
    }
}

#[derive(Clone, Copy)]
enum Field {
    Series,
    Time,
    Value,
    Values,
    Tags,
    RecordId,
    Other,
}

impl Field {
    fn name(self) -> &'static str {
        match self {
            Self::Series => "/series",
            Self::Time => "/time",
            Self::Value => "/value",
            Self::Values => "/values",
            Self::Tags => "/tags",
            Self::RecordId => "/record_id",
            Self::Other => "a field",
        }
    }
}

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldVisitor;
        impl Visitor<'_> for FieldVisitor {
            type Value = Field;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a field's name")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<Field, E> {
                Ok(match name {
                    "series" => Field::Series,
                    "time" => Field::Time,
                    "value" => Field::Value,
                    "values" => Field::Values,
                    "tags" => Field::Tags,
                    "record_id" => Field::RecordId,
                    _ => Field::Other,
                })
            }
        }
        deserializer.deserialize_str(FieldVisitor)
    }
}

/// The field `values`.
#[derive(Default)]
pub(crate) struct Collected<'a> {
    pub(crate) found: Found<'a>,
    pub(crate) total: usize,
    pub(crate) fault: Option<Fault>,
}

/// The field `tags`.
#[derive(Default)]
pub(crate) struct TagsFound<'a> {
    pub(crate) tags: Tags<'a>,
    pub(crate) fault: Option<Fault>,
}

impl<'de> Deserialize<'de> for Scalar<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Any(ScalarOnly))
    }
}

impl<'de> Deserialize<'de> for Collected<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Any(CollectValues))
    }
}

impl<'de> Deserialize<'de> for TagsFound<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Any(CollectTags))
    }
}

struct ScalarOnly;

impl<'de> Take<'de> for ScalarOnly {
    type Out = Scalar<'de>;

    fn scalar(self, scalar: Scalar<'de>) -> Self::Out {
        scalar
    }

    fn array<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Out, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::Array)
    }

    fn object<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Out, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::Object)
    }
}

struct CollectValues;

impl<'de> Take<'de> for CollectValues {
    type Out = Collected<'de>;

    fn scalar(self, scalar: Scalar<'de>) -> Self::Out {
        let fault = match scalar {
            Scalar::Null => None,
            other => Some(other.wrong_type("an object of numbers or an array").at("/values")),
        };
        Collected { fault, ..Collected::default() }
    }

    fn array<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Out, A::Error> {
        let (mut list, mut total, mut fault) = (vec![], 0, None);
        while let Some(scalar) = seq.next_element::<Scalar<'de>>()? {
            match scalar.value() {
                Ok(value) if total < FEATURES_MAX => list.push(value),
                Ok(_) => {}
                Err(wrong) => {
                    fault.get_or_insert_with(|| wrong.at(&format!("/values/{total}")));
                }
            }
            total += 1;
        }
        Ok(Collected { found: Found::List(list), total, fault })
    }

    fn object<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Out, A::Error> {
        let (mut named, mut total, mut fault) = (vec![], 0, None);
        while let Some(Text(name)) = map.next_key::<Text<'de>>()? {
            let scalar = map.next_value::<Scalar<'de>>()?;
            match scalar.value() {
                Ok(value) if total < FEATURES_MAX => named.push((name, value)),
                Ok(_) => {}
                Err(wrong) => {
                    fault.get_or_insert_with(|| wrong.at(&of_values(&name)));
                }
            }
            total += 1;
        }
        Ok(Collected { found: Found::Named(named), total, fault })
    }
}

/// The place of a value by its name, for people.
pub(crate) fn of_values(name: &str) -> String {
    format!("/values, {}", quoted(name))
}

struct CollectTags;

impl<'de> Take<'de> for CollectTags {
    type Out = TagsFound<'de>;

    fn scalar(self, scalar: Scalar<'de>) -> Self::Out {
        let fault = match scalar {
            Scalar::Null => None,
            other => Some(other.wrong_type("an object of texts").at("/tags")),
        };
        TagsFound { fault, ..TagsFound::default() }
    }

    fn array<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Out, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(self.scalar(Scalar::Array))
    }

    fn object<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Out, A::Error> {
        let (mut tags, mut fault) = (vec![], None);
        while let Some(Text(name)) = map.next_key::<Text<'de>>()? {
            match map.next_value::<Scalar<'de>>()? {
                Scalar::Text(value) if tags.len() <= TAGS_MAX => tags.push((name, value)),
                Scalar::Text(_) | Scalar::Null => {}
                other => {
                    let place = format!("/tags, {}", quoted(&name));
                    fault.get_or_insert_with(|| other.wrong_type("a text").at(&place));
                }
            }
        }
        Ok(TagsFound { tags, fault })
    }
}
