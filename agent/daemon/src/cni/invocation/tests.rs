//! Calls of the plugin, right and wrong ones.

use rstest::rstest;

use super::*;

const CONFIG: &str = r#"{"cniVersion":"1.1.0","name":"egret","type":"egret-cni"}"#;

fn variables(changes: &[(&str, &str)]) -> BTreeMap<String, String> {
    let mut variables: BTreeMap<String, String> = [
        ("CNI_COMMAND", "ADD"),
        ("CNI_CONTAINERID", "abc-1"),
        ("CNI_NETNS", "/run/netns/x"),
        ("CNI_IFNAME", "eth0"),
        ("CNI_ARGS", "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=nginx;K8S_POD_UID=u-1"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    for (name, value) in changes {
        variables.insert((*name).to_owned(), (*value).to_owned());
    }
    variables
}

#[rstest]
#[case(&[("CNI_COMMAND", "")], CONFIG, 4)]
#[case(&[("CNI_COMMAND", "add")], CONFIG, 4)]
#[case(&[("CNI_CONTAINERID", "")], CONFIG, 4)]
#[case(&[("CNI_CONTAINERID", "-a")], CONFIG, 4)]
#[case(&[("CNI_CONTAINERID", "a b")], CONFIG, 4)]
#[case(&[("CNI_IFNAME", "")], CONFIG, 4)]
#[case(&[("CNI_IFNAME", "..")], CONFIG, 4)]
#[case(&[("CNI_IFNAME", "a/b")], CONFIG, 4)]
#[case(&[("CNI_IFNAME", "sixteen-letters-")], CONFIG, 4)]
#[case(&[("CNI_NETNS", "")], CONFIG, 4)]
#[case(&[("CNI_COMMAND", "CHECK"), ("CNI_NETNS", "")], CONFIG, 4)]
#[case(&[("CNI_ARGS", "")], CONFIG, 4)]
#[case(&[("CNI_ARGS", "K8S_POD_NAME=nginx")], CONFIG, 4)]
#[case(&[], "", 6)]
#[case(&[], "{}", 6)]
#[case(&[], r#"{"cniVersion":"0.3.1"}"#, 1)]
#[case(&[], r#"{"cniVersion":"2.0.0"}"#, 1)]
#[case(&[], r#"{"cniVersion":"1.0.0","prevResult":{}}"#, 7)]
fn wrong_calls_have_the_specifications_numbers(
    #[case] changes: &[(&str, &str)],
    #[case] config: &str,
    #[case] code: u32,
) {
    let failure = Invocation::of(&variables(changes), config).expect_err("refused");
    assert_eq!(failure.code(), code, "{failure}");
}

#[test]
fn pods_are_known_by_uid_and_else_by_name() {
    let pod = |arguments: &str| match Invocation::of(&variables(&[("CNI_ARGS", arguments)]), CONFIG) {
        Ok(Invocation::Add { pod, .. }) => pod,
        other => panic!("{other:?}"),
    };
    assert_eq!(pod("K8S_POD_NAMESPACE=a;K8S_POD_NAME=b;K8S_POD_UID=u"), PodKey::Uid("u".into()));
    assert_eq!(pod("K8S_POD_NAMESPACE=a;K8S_POD_NAME=b"), PodKey::Name(ObjectName::new("a", "b")));
}

#[test]
fn deletions_need_neither_network_nor_pod() {
    let changes = [("CNI_COMMAND", "DEL"), ("CNI_NETNS", ""), ("CNI_ARGS", "")];
    let asked = Invocation::of(&variables(&changes), CONFIG).expect("understood");
    assert!(matches!(asked, Invocation::Del { attachment, .. } if attachment.container == "abc-1"));
}

#[test]
fn collections_list_what_stays() {
    let config = r#"{"cniVersion":"1.1.0","name":"egret","type":"egret-cni",
        "cni.dev/valid-attachments":[{"containerID":"a","ifname":"eth0"}]}"#;
    let asked = Invocation::of(&variables(&[("CNI_COMMAND", "GC")]), config).expect("understood");
    let Invocation::Gc(config) = asked else { panic!("{asked:?}") };
    let stays = Attachment { container: "a".into(), interface: "eth0".into() };
    assert_eq!(config.valid_attachments, Some(vec![stays]));
}
