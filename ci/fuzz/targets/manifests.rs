//! A cluster's manifests are refused with places inside their text, or they are one world, the same each time.
#![no_main]

use egret::cluster::of_sources;
use egret::lint::lint;
use egret::source::Source;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let source = Source::new("all.yaml", text);
    match of_sources(std::slice::from_ref(&source), None) {
        Ok(cluster) => {
            let again = of_sources(&[source], None).expect("read once");
            assert_eq!(format!("{:?}", cluster.desired), format!("{:?}", again.desired));
            for (name, pod) in &cluster.desired.world.pods {
                assert!(cluster.desired.world.nodes.contains_key(&pod.node), "{name} runs nowhere");
                assert!(
                    cluster.desired.world.namespaces.contains_key(&name.namespace),
                    "{name} stands nowhere"
                );
            }
            for warning in lint(&cluster) {
                let location = warning.location.as_ref().expect("a warning has a place");
                egret_fuzz::assert_inside(location);
                assert!(warning.code.is_some() && warning.help.is_some());
            }
        }
        Err(problems) => {
            assert!(!problems.is_empty(), "refused without a reason");
            for problem in &problems {
                // Where addresses run out, nobody is to blame.
                problem.location.iter().for_each(egret_fuzz::assert_inside);
                assert!(!problem.message.is_empty());
            }
        }
    }
});
