//! YAML is refused with places inside its text, or every value, key and path has its place there.
#![no_main]

use egret::source::{Place, Source};
use egret::yaml::{Document, Node, Value, documents, documents_by_parser};
use egret_fuzz::assert_inside;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let source = Source::new("any.yaml", text);
    let read = documents(&source);
    // The quick pass reads as the full parser does, or leaves the text to it.
    let roots = |read: Result<Vec<Document>, _>| {
        read.map(|all| all.into_iter().map(|one| one.root).collect::<Vec<_>>())
    };
    assert_eq!(roots(read.clone()), roots(documents_by_parser(&source)), "the readers differ");
    match read {
        Ok(documents) => documents.iter().for_each(|document| {
            visit(document, &document.root, Some(String::new()));
            // A path of any text leads somewhere into the file.
            assert_inside(&document.locate(text));
        }),
        Err(problems) => egret_fuzz::assert_says_where(&problems),
    }
});

/// `path` is how the value is asked for; `None` below a key that paths cannot write.
fn visit(document: &Document, node: &Node, path: Option<String>) {
    let inside = |place: Place| assert_inside(&place.in_source(&document.source));
    inside(node.at);
    if let Some(path) = &path {
        assert_eq!(document.locate(path), node.at.in_source(&document.source), "`{path}`");
    }
    let path = path.as_deref();
    match &node.value {
        Value::Sequence(items) => {
            for (index, item) in items.iter().enumerate() {
                visit(document, item, path.map(|path| format!("{path}[{index}]")));
            }
        }
        Value::Mapping(entries) => {
            for (key, place, value) in entries {
                inside(*place);
                let is_plain = !key.is_empty() && !key.contains(['.', '[']);
                visit(document, value, path.filter(|_| is_plain).map(|path| format!("{path}.{key}")));
            }
        }
        Value::LeftOut => panic!("left out of what nobody has read yet"),
        Value::Null
        | Value::Bool(_)
        | Value::Negative(_)
        | Value::Integer(_)
        | Value::Float(_)
        | Value::Text(_) => {}
    }
}
