//! A serde reader over the located tree; its errors carry the path and the place.

use std::slice;

use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess,
    Visitor,
};

use super::error::ReadError;
use super::located;
use super::node::{Node, Value};
use super::path::Segment;
use crate::source::Place;

/// Reads one value.
pub(super) struct Reader<'de> {
    node: &'de Node,
}

// === impl Reader ===

impl<'de> Reader<'de> {
    pub(super) fn of(node: &'de Node) -> Self {
        Self { node }
    }

    /// Place of the value.
    pub(super) fn place(&self) -> Place {
        self.node.at
    }

    fn mismatch(&self, visitor: &dyn de::Expected) -> ReadError {
        de::Error::invalid_type(self.node.value.unexpected(), visitor)
    }
}

impl<'de> Deserializer<'de> for Reader<'de> {
    type Error = ReadError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        let at = self.node.at;
        match &self.node.value {
            Value::Null | Value::LeftOut => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Negative(value) => visitor.visit_i64(*value),
            Value::Integer(value) => visitor.visit_u64(*value),
            Value::Float(value) => visitor.visit_f64(*value),
            Value::Text(text) => visitor.visit_borrowed_str(text),
            Value::Sequence(items) => visitor.visit_seq(Items { items: items.iter(), index: 0 }),
            Value::Mapping(entries) => visitor.visit_map(Fields { entries: entries.iter(), value: None }),
        }
        .map_err(|error: ReadError| error.or_at(at))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        let at = self.node.at;
        if self.node.value == Value::Null { visitor.visit_none() } else { visitor.visit_some(self) }
            .map_err(|error: ReadError| error.or_at(at))
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        if !matches!(self.node.value, Value::Text(_)) {
            return Err(self.mismatch(&"a text").or_at(self.node.at));
        }
        self.deserialize_any(visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        self.deserialize_string(visitor)
    }

    // A mapping that a type reads as a struct is a mapping for the reader of the message, not a Rust type.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        if name == located::NAME {
            return visitor.visit_seq(located::Parts::of(self));
        }
        self.deserialize_map(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        if !matches!(self.node.value, Value::Mapping(_)) {
            return Err(self.mismatch(&"a mapping").or_at(self.node.at));
        }
        self.deserialize_any(visitor)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        if !matches!(self.node.value, Value::Sequence(_)) {
            return Err(self.mismatch(&"a list").or_at(self.node.at));
        }
        self.deserialize_any(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        let at = self.node.at;
        let choice = if let Value::Text(word) = &self.node.value {
            Choice { word, at, content: None }
        } else if let Value::Mapping(entries) = &self.node.value
            && let [(word, at, content)] = entries.as_slice()
        {
            Choice { word, at: *at, content: Some(content) }
        } else {
            return Err(self.mismatch(&"one word, or a mapping with one key").or_at(at));
        };
        visitor.visit_enum(choice).map_err(|error: ReadError| error.or_at(at))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct tuple
        tuple_struct identifier
    }
}

/// Passes over a sequence.
struct Items<'de> {
    items: slice::Iter<'de, Node>,
    index: usize,
}

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = ReadError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, ReadError> {
        for node in self.items.by_ref() {
            let index = self.index;
            self.index += 1;
            if node.value == Value::LeftOut {
                continue;
            }
            let read = seed.deserialize(Reader::of(node));
            return read.map(Some).map_err(|error| error.or_at(node.at).below(Segment::Index(index)));
        }
        Ok(None)
    }
}

/// Passes over a mapping.
struct Fields<'de> {
    entries: slice::Iter<'de, (String, Place, Node)>,
    value: Option<(&'de str, &'de Node)>,
}

impl<'de> MapAccess<'de> for Fields<'de> {
    type Error = ReadError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, ReadError> {
        for (key, at, node) in self.entries.by_ref() {
            if node.value == Value::LeftOut {
                continue;
            }
            self.value = Some((key, node));
            return seed.deserialize(Key { key, at: *at }).map(Some).map_err(|error| error.or_at(*at));
        }
        Ok(None)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, ReadError> {
        let Some((key, node)) = self.value.take() else {
            return Err(de::Error::custom("a value was read before its key"));
        };
        seed.deserialize(Reader::of(node))
            .map_err(|error| error.or_at(node.at).below(Segment::Key(key.to_owned())))
    }
}

/// A key, which may be read with its place.
struct Key<'de> {
    key: &'de str,
    at: Place,
}

impl<'de> Deserializer<'de> for Key<'de> {
    type Error = ReadError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_borrowed_str(self.key)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        if name == located::NAME {
            return visitor.visit_seq(located::Parts::of_key(self.key, self.at));
        }
        self.deserialize_any(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        visitor.visit_enum(Choice { word: self.key, at: self.at, content: None })
    }

    // Numbers stand as text in keys: `80: x` and `"80": x` are the same key.
    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match self.key.parse() {
            Ok(number) => visitor.visit_u64(number),
            Err(_) => visitor.visit_borrowed_str(self.key),
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct seq tuple tuple_struct map identifier ignored_any
    }
}

/// One of several words, alone or with content behind it.
struct Choice<'de> {
    word: &'de str,
    at: Place,
    content: Option<&'de Node>,
}

impl<'de> EnumAccess<'de> for Choice<'de> {
    type Error = ReadError;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), ReadError> {
        let word = seed
            .deserialize(self.word.into_deserializer())
            .map_err(|error: ReadError| error.or_at(self.at))?;
        Ok((word, self))
    }
}

impl<'de> Choice<'de> {
    fn content(&self) -> Result<&'de Node, ReadError> {
        self.content.ok_or_else(|| de::Error::custom(format!("`{}` needs a value behind it", self.word)))
    }

    fn read<T>(&self, read: impl FnOnce(Reader<'de>) -> Result<T, ReadError>) -> Result<T, ReadError> {
        let content = self.content()?;
        read(Reader::of(content))
            .map_err(|error| error.or_at(content.at).below(Segment::Key(self.word.to_owned())))
    }
}

impl<'de> VariantAccess<'de> for Choice<'de> {
    type Error = ReadError;

    fn unit_variant(self) -> Result<(), ReadError> {
        match self.content {
            None => Ok(()),
            Some(_) => Err(de::Error::custom(format!("`{}` takes no value", self.word))),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, ReadError> {
        self.read(|reader| seed.deserialize(reader))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, ReadError> {
        self.read(|reader| reader.deserialize_seq(visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        self.read(|reader| reader.deserialize_map(visitor))
    }
}

// === impl Value ===

impl Value {
    fn unexpected(&self) -> de::Unexpected<'_> {
        match self {
            Self::Null | Self::LeftOut => de::Unexpected::Unit,
            Self::Bool(value) => de::Unexpected::Bool(*value),
            Self::Negative(value) => de::Unexpected::Signed(*value),
            Self::Integer(value) => de::Unexpected::Unsigned(*value),
            Self::Float(value) => de::Unexpected::Float(*value),
            Self::Text(text) => de::Unexpected::Str(text),
            Self::Sequence(_) => de::Unexpected::Seq,
            Self::Mapping(_) => de::Unexpected::Map,
        }
    }
}
