//! YAML is refused with places inside its text, or every value, key and path has its place there.
#![no_main]

use egret::source::{Place, Source};
use egret::yaml::{Document, Node, Path, Segment, Value, documents};
use egret_fuzz::assert_inside;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match documents(&Source::new("any.yaml", text)) {
        Ok(documents) => documents.iter().for_each(|document| {
            visit(document, &document.root, &Path::default());
            // A path of any text leads somewhere into the file.
            assert_inside(&document.locate(text));
        }),
        Err(problems) => egret_fuzz::assert_says_where(&problems),
    }
});

fn visit(document: &Document, node: &Node, path: &Path) {
    let inside = |place: Place| assert_inside(&place.in_source(&document.source));
    inside(node.at);
    let written = path.to_string();
    if Path::parse(&written) == *path {
        assert_eq!(document.locate(&written), node.at.in_source(&document.source), "`{written}`");
    }
    let below = |segment| Path(path.0.iter().cloned().chain([segment]).collect());
    match &node.value {
        Value::Sequence(items) => {
            for (index, item) in items.iter().enumerate() {
                visit(document, item, &below(Segment::Index(index)));
            }
        }
        Value::Mapping(entries) => {
            for (key, place, value) in entries {
                inside(*place);
                visit(document, value, &below(Segment::Key(key.clone())));
            }
        }
        Value::LeftOut => panic!("`{written}` was left out of what nobody read yet"),
        Value::Null
        | Value::Bool(_)
        | Value::Negative(_)
        | Value::Integer(_)
        | Value::Float(_)
        | Value::Text(_) => {}
    }
}
