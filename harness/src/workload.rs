//! The workload that a pod belongs to, as far as its name and labels tell.

use egret_core::ObjectName;
use egret_core::world::Pod;

/// The name without what a controller adds: the hash of a ReplicaSet and the random end behind it, or the
/// number of a StatefulSet's pod. A name that says nothing stays whole.
#[must_use]
pub(crate) fn workload(name: &ObjectName, pod: Option<&Pod>) -> ObjectName {
    let hash = pod.and_then(|pod| pod.labels.get("pod-template-hash"));
    let by_hash = hash.and_then(|hash| name.name.rsplit_once(&format!("-{hash}-")).map(|(start, _)| start));
    let by_number = name.name.rsplit_once('-').and_then(|(start, end)| {
        (!end.is_empty() && end.bytes().all(|byte| byte.is_ascii_digit())).then_some(start)
    });
    match by_hash.or(by_number) {
        Some(start) if !start.is_empty() => ObjectName::new(&name.namespace, start),
        Some(_) | None => name.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("web-0", None, "web")]
    #[case("web-7d9c-x2x4z", Some("7d9c"), "web")]
    #[case("web-7d9c-x2x4z", None, "web-7d9c-x2x4z")]
    #[case("web", None, "web")]
    #[case("-0", None, "-0")]
    fn names(#[case] pod: &str, #[case] hash: Option<&str>, #[case] expected: &str) {
        let labels = hash.map(|hash| ("pod-template-hash".to_owned(), hash.to_owned())).into_iter().collect();
        let found = workload(&ObjectName::new("a", pod), Some(&Pod { labels, ..Pod::default() }));
        assert_eq!(found, ObjectName::new("a", expected));
    }
}
