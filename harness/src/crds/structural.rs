//! From the JSON schema of a type to the structural schema that the API server takes.
//!
//! | JSON schema | structural |
//! | --- | --- |
//! | `$schema`, `title` | gone |
//! | `nullable` | gone: the API server drops nulls itself |
//! | `additionalProperties: false` | gone: unknown fields are refused by field validation, or dropped |
//! | integer or string | `x-kubernetes-int-or-string` |
//! | `format` of Rust's numbers | those that the API server knows |
//! | `default` | gone: an absent field has a meaning of its own in Cilium's API |
//!
//! <https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema>

use serde_json::{Map, Value};

/// Rewrites a schema and all below it.
pub(super) fn rewrite(schema: &mut Value) {
    let Some(object) = schema.as_object_mut() else { return };
    for word in ["$schema", "title", "nullable", "default"] {
        object.remove(word);
    }
    if object.get("additionalProperties") == Some(&Value::Bool(false)) {
        object.remove("additionalProperties");
    }
    if is_int_or_string(object) {
        object.remove("anyOf");
        object.insert("x-kubernetes-int-or-string".into(), true.into());
    }
    if let Some(properties) = object.get_mut("properties").and_then(Value::as_object_mut) {
        properties.values_mut().for_each(rewrite);
    }
    for word in ["items", "additionalProperties"] {
        if let Some(inner) = object.get_mut(word) {
            rewrite(inner);
        }
    }
}

/// What schemars makes of an enumeration of a number and a text.
fn is_int_or_string(schema: &Map<String, Value>) -> bool {
    let Some(Value::Array(forms)) = schema.get("anyOf") else { return false };
    let kinds: Vec<&str> = forms.iter().filter_map(|form| form.get("type")?.as_str()).collect();
    kinds == ["integer", "string"]
}
