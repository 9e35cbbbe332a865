//! Types for places inside documents: a value with its place, a mapping in its order, a short or a long form.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{
    self, Deserialize, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor,
};

use super::error::ReadError;
use super::reader::Reader;
use crate::source::Place;

/// The name by which [`Located`] asks the reader for the place. No other reader knows it.
pub(super) const NAME: &str = "$egret::Located";

/// A value and its place.
#[derive(Clone, Debug, Default)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub at: Place,
}

/// A mapping in the order of the file, with the places of its keys.
#[derive(Clone, Debug)]
pub struct Entries<T>(pub Vec<(Located<String>, T)>);

/// A value with a short form, a scalar, and a long one, a list or a mapping.
#[derive(Clone, Debug, PartialEq)]
pub enum Short<S, L> {
    /// The scalar.
    Word(S),
    /// The list or mapping.
    Long(L),
}

// === impl Located ===

/// Places do not count: two files may say the same thing.
impl<T: PartialEq> PartialEq for Located<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Located<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PartsVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for PartsVisitor<T> {
            type Value = Located<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value read by egret's YAML reader")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Located<T>, A::Error> {
                let missing = || de::Error::invalid_length(0, &self);
                let mut number = || parts.next_element::<usize>()?.ok_or_else(missing);
                let at = Place { line: number()?, column: number()?, start: number()?, end: number()? };
                let value = parts.next_element()?.ok_or_else(missing)?;
                Ok(Located { value, at })
            }
        }

        deserializer.deserialize_struct(NAME, &[], PartsVisitor(PhantomData))
    }
}

impl<T: JsonSchema> JsonSchema for Located<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// The parts of a [`Located`]: four numbers, then the value.
pub(super) struct Parts<'de> {
    at: Place,
    value: PartsValue<'de>,
    next: usize,
}

enum PartsValue<'de> {
    Node(Option<Reader<'de>>),
    Key(&'de str),
}

impl<'de> Parts<'de> {
    pub(super) fn of(reader: Reader<'de>) -> Self {
        Self { at: reader.place(), value: PartsValue::Node(Some(reader)), next: 0 }
    }

    pub(super) fn of_key(key: &'de str, at: Place) -> Self {
        Self { at, value: PartsValue::Key(key), next: 0 }
    }
}

impl<'de> SeqAccess<'de> for Parts<'de> {
    type Error = ReadError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, ReadError> {
        let numbers = [self.at.line, self.at.column, self.at.start, self.at.end];
        let number = numbers.get(self.next);
        self.next += 1;
        match (number, &mut self.value) {
            (Some(number), _) => seed.deserialize((*number as u64).into_deserializer()).map(Some),
            (None, PartsValue::Key(key)) => seed.deserialize((*key).into_deserializer()).map(Some),
            (None, PartsValue::Node(reader)) => {
                reader.take().map(|reader| seed.deserialize(reader)).transpose()
            }
        }
        .map_err(|error: ReadError| error.or_at(self.at))
    }
}

// === impl Entries ===

impl<T> Default for Entries<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: PartialEq> PartialEq for Entries<T> {
    /// The order of a mapping does not count.
    fn eq(&self, other: &Self) -> bool {
        self.0.len() == other.0.len()
            && self.0.iter().all(|(key, value)| {
                other.0.iter().any(|(theirs, their_value)| key == theirs && value == their_value)
            })
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Entries<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntriesVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for EntriesVisitor<T> {
            type Value = Entries<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Entries<T>, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = access.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }

        deserializer.deserialize_map(EntriesVisitor(PhantomData))
    }
}

impl<T: JsonSchema> JsonSchema for Entries<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Mapping_of_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let value = generator.subschema_for::<T>();
        json_schema!({ "type": "object", "additionalProperties": value })
    }
}

// === impl Short ===

impl<'de, S: Deserialize<'de>, L: Deserialize<'de>> Deserialize<'de> for Short<S, L> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ShortVisitor<S, L>(PhantomData<(S, L)>);

        impl<'de, S: Deserialize<'de>, L: Deserialize<'de>> Visitor<'de> for ShortVisitor<S, L> {
            type Value = Short<S, L>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_borrowed_str<E: de::Error>(self, value: &'de str) -> Result<Self::Value, E> {
                S::deserialize(de::value::BorrowedStrDeserializer::new(value)).map(Short::Word)
            }

            fn visit_str<E: de::Error>(self, value: &str) -> Result<Self::Value, E> {
                S::deserialize(value.into_deserializer()).map(Short::Word)
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Self::Value, E> {
                S::deserialize(value.into_deserializer()).map(Short::Word)
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Self::Value, E> {
                S::deserialize(value.into_deserializer()).map(Short::Word)
            }

            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Self::Value, E> {
                S::deserialize(value.into_deserializer()).map(Short::Word)
            }

            fn visit_bool<E: de::Error>(self, value: bool) -> Result<Self::Value, E> {
                S::deserialize(value.into_deserializer()).map(Short::Word)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, access: A) -> Result<Self::Value, A::Error> {
                L::deserialize(List(SeqAccessDeserializer::new(access))).map(Short::Long)
            }

            fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<Self::Value, A::Error> {
                L::deserialize(MapAccessDeserializer::new(access)).map(Short::Long)
            }
        }

        deserializer.deserialize_any(ShortVisitor(PhantomData))
    }
}

/// A list, which is never read as the fields of a mapping in their order.
struct List<A>(SeqAccessDeserializer<A>);

impl<'de, A: SeqAccess<'de>> Deserializer<'de> for List<A> {
    type Error = A::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, A::Error> {
        self.0.deserialize_any(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        _visitor: V,
    ) -> Result<V::Value, A::Error> {
        Err(de::Error::invalid_type(de::Unexpected::Seq, &"a word or a mapping"))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

impl<S: JsonSchema, L: JsonSchema> JsonSchema for Short<S, L> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("{}_or_{}", S::schema_name(), L::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let short = generator.subschema_for::<S>();
        let long = generator.subschema_for::<L>();
        json_schema!({ "anyOf": [short, long] })
    }
}
