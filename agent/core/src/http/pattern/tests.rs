//! What patterns match, and which are refused with which words.

use super::*;
use rstest::rstest;

#[rstest]
#[case::whole("/public", &["/public"], &["/public/", "/public?x", "x/public", ""])]
#[case::anchors("^/public$", &["/public"], &["/publicx"])]
#[case::alternatives("a|b", &["a", "b"], &["ab", "ba"])]
#[case::any(".*", &["", "x y"], &["x\ny"])]
#[case::ascii(r"\d\w", &["1a"], &["\u{661}a", "1\u{e9}"])]
#[case::brace("a{b", &["a{b"], &["ab"])]
#[case::open_count("a{,2}", &["a{,2}"], &["aa"])]
#[case::count("a{2,3}", &["aa", "aaa"], &["a", "aaaa"])]
#[case::quoted(r"\Qa.b\E+", &["a.b", "a.bb"], &["axb"])]
#[case::quoted_to_the_end(r"\Qa.b", &["a.b"], &["axb"])]
#[case::byte(r"a\Cb", &["a\nb"], &["ab"])]
#[case::set_operators("[a&&b]+", &["a&b"], &["c"])]
#[case::nested_set("[[a]]", &["[]", "a]"], &["a"])]
#[case::posix("[[:alpha:]_]+", &["ab_"], &["1"])]
#[case::bracket_first("[]a]+", &["]a"], &["b"])]
#[case::negated_bracket("[^]a]", &["b"], &["]", "a"])]
#[case::angles(r"\<a\>", &["<a>"], &["a"])]
#[case::flags("(?i)get", &["GET", "get"], &["got"])]
#[case::named("(?P<x>a)(?<y>b)", &["ab"], &["a"])]
fn whole_strings(#[case] pattern: &str, #[case] matching: &[&str], #[case] other: &[&str]) {
    let compiled = Pattern::new(pattern).unwrap();
    for text in matching {
        assert!(compiled.matches(text), "{pattern} ought to match {text}");
    }
    for text in other {
        assert!(!compiled.matches(text), "{pattern} must not match {text}");
    }
}

#[rstest]
#[case("(", "is not a regular expression: unclosed group")]
#[case("a)(b", "is not a regular expression: unopened group")]
#[case("[a", "is not a regular expression: unclosed character class")]
#[case("*", "is not a regular expression: repetition operator missing expression")]
#[case("a\\", "is not a regular expression: it ends with a backslash")]
#[case("a{1001}", "repeats something more than 1000 times, which RE2 refuses")]
#[case("(?=a)", "has a look-around, which RE2 does not know")]
#[case("(?<!a)", "has a look-around, which RE2 does not know")]
#[case("(?x)a b", "has a group or flag, which RE2 does not know")]
#[case(r"\pL", "has a Unicode class such as `\\pL`, which Envoy takes and Egret cannot simulate")]
#[case(r"\012", "has an octal escape or a back-reference, which Envoy takes and Egret cannot simulate")]
#[case(r"\b{start}a", "has a word boundary with a brace, which RE2 does not know")]
#[case(r"\u0041", "has the escape `\\u`, which RE2 does not know")]
#[case("(((a{1000}){1000}){1000})", "is too large")]
fn refused(#[case] pattern: &str, #[case] problem: &str) {
    assert_eq!(Pattern::new(pattern).unwrap_err().to_string(), problem);
}

proptest::proptest! {
    #[test]
    fn no_text_breaks_it(text in r"[a-z\\(){}\[\]|?*+^$.:&~<>0-9QEC-]{0,20}", probe in "[a-z0-9]{0,8}") {
        if let Ok(pattern) = Pattern::new(&text) {
            proptest::prop_assert_eq!(pattern.matches(&probe), Pattern::new(pattern.text()).unwrap().matches(&probe));
        }
    }

    #[test]
    fn quoted_text_matches_itself_alone(text in "[ -~&&[^\\\\]]{0,20}") {
        let pattern = Pattern::new(&alloc::format!(r"\Q{text}\E")).unwrap();
        proptest::prop_assert!(pattern.matches(&text));
        let longer = alloc::format!("{text}x");
        proptest::prop_assert!(!pattern.matches(&longer));
    }
}
