//! Every pair of parties under both versions.

use std::collections::{BTreeMap, BTreeSet};

use egret_core::ObjectName;
use egret_core::matrix::{Matrix, Traffic, Who, traffic_of};

use super::{Change, Collected, Difference, Effect, Version, workload_of};
use crate::matrix::Names;

/// Whom both versions treat alike, with his places in both matrices.
struct Joint {
    name: String,
    /// How many pods it stands for; 0 for what is none.
    pods: usize,
    old: usize,
    new: usize,
}

/// Compares every pair of parties that both versions have, for this traffic or, when it is empty, for what
/// either version's pods serve and policies name.
///
/// Pods are compared workload by workload: those of one workload that behave alike in both versions are one.
#[must_use]
pub fn compare(old: Version<'_>, new: Version<'_>, traffic: &[Traffic]) -> Difference {
    let mut all: BTreeSet<Traffic> = traffic.iter().copied().collect();
    if all.is_empty() {
        all.extend([old, new].iter().flat_map(|version| traffic_of(version.cluster.desired())));
    }
    let all: Vec<Traffic> = all.into_iter().collect();
    let (before, after) = (Matrix::new(old.cluster, &all), Matrix::new(new.cluster, &all));
    let joint = joint(old, &before, &after);
    let (old_names, new_names) =
        (Names { matrix: &before, places: old.places }, Names { matrix: &after, places: new.places });
    let mut collected = Collected::default();
    for from in &joint {
        for to in &joint {
            // A pod alone and itself.
            if std::ptr::eq(from, to) && from.pods == 1 {
                continue;
            }
            for (place, traffic) in all.iter().enumerate() {
                let cells = before.cell(from.old, to.old, place).zip(after.cell(from.new, to.new, place));
                let Some((was, is)) = cells else { continue };
                if was.passes() == is.passes() && was.is_redirected() == is.is_redirected() {
                    continue;
                }
                let (was, is) = (old_names.flow(traffic, was), new_names.flow(traffic, is));
                let Some(effect) = Effect::between(was.verdict, is.verdict) else { continue };
                let change = Change {
                    effect,
                    from: from.name.clone(),
                    to: to.name.clone(),
                    traffic: vec![was.traffic.clone()],
                    old: was.into(),
                    new: is.into(),
                    flows: None,
                };
                collected.add([&from.name, &to.name], change);
            }
        }
    }
    let only = |a: &Version<'_>, b: &Version<'_>| {
        let there = &b.cluster.desired().world.pods;
        let here = a.cluster.desired().world.pods.keys();
        here.filter(|pod| !there.contains_key(*pod)).map(ToString::to_string).collect()
    };
    Difference {
        workloads: collected.finish(),
        added: only(&new, &old),
        removed: only(&old, &new),
        recorded: None,
    }
}

/// Pods by workload and by both places, then what is no pod.
fn joint(old: Version<'_>, before: &Matrix, after: &Matrix) -> Vec<Joint> {
    let place_of = |matrix: &Matrix| -> BTreeMap<ObjectName, usize> {
        let parties = matrix.parties().enumerate();
        parties.flat_map(|(place, who)| who.pods().iter().map(move |pod| (pod.clone(), place))).collect()
    };
    let (old_places, new_places) = (place_of(before), place_of(after));
    let mut alike: BTreeMap<(String, usize, usize), usize> = BTreeMap::new();
    for (pod, place) in old_places {
        if let Some(new) = new_places.get(&pod) {
            *alike.entry((workload_of(old.cluster, &pod), place, *new)).or_default() += 1;
        }
    }
    let pods = alike.into_iter().map(|((name, old, new), pods)| Joint { name, pods, old, new });
    let mut joint: Vec<Joint> = pods.collect();
    let others: BTreeMap<String, &Who> = before
        .parties()
        .chain(after.parties())
        .filter(|who| who.pods().is_empty())
        .map(|who| (who.to_string(), who))
        .collect();
    for (name, who) in others {
        if let (Some(old), Some(new)) = (place(before, who), place(after, who)) {
            joint.push(Joint { name, pods: 0, old, new });
        }
    }
    joint
}

/// The place of a party that is no pod. A prefix that a version does not know is part of the longest one over
/// it there, or of the world.
fn place(matrix: &Matrix, who: &Who) -> Option<usize> {
    let found = |wanted: &Who| matrix.parties().position(|who| who == wanted);
    let Who::Prefix(prefix) = who else { return found(who) };
    let mut wider = Some(*prefix);
    while let Some(net) = wider {
        if let Some(place) = found(&Who::Prefix(net)) {
            return Some(place);
        }
        wider = net.supernet();
    }
    found(&Who::World)
}
