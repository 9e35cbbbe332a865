//! Rules that leave nothing of another, or not what is meant: denies over allows, and plain rules beside a proxy's.

use std::collections::BTreeSet;

use egret_core::rule::{Effect, Enforcement, Inspection, Peers, PortMatch, PortRule, Ports, Rule, Tier};
use egret_shared::Direction;

use super::scene::{Found, Scene, Spec, Warning};

/// A rule with its section and whom it names; without peers, everybody.
struct Known<'s, 'a> {
    spec: &'s Spec<'a>,
    rule: &'s Rule,
    peers: Option<BTreeSet<usize>>,
}

pub(super) fn check(scene: &Scene<'_>, found: &mut Found<'_>) {
    let rules: Vec<Known<'_, '_>> = scene
        .sections
        .iter()
        .flat_map(|spec| spec.section.rules.iter().map(move |rule| (spec, rule)))
        .map(|(spec, rule)| Known { spec, rule, peers: scene.peers(rule) })
        .collect();
    let of = |effect: Effect| -> Vec<&Known<'_, '_>> {
        rules.iter().filter(|known| known.rule.effect == effect).collect()
    };
    let (allows, denies, passes) = (of(Effect::Allow), of(Effect::Deny), of(Effect::Pass));
    let inspecting =
        |known: &&&Known<'_, '_>| known.rule.listed_ports().iter().any(|port| port.inspect.is_some());
    for allow in &allows {
        deny_shadows_allow(allow, &denies, &passes, found);
    }
    for proxied in allows.iter().filter(inspecting) {
        proxy_overruled(proxied, &allows, found);
    }
    for spec in &scene.sections {
        switch_overruled(scene, spec, found);
    }
}

/// A deny that covers peers, ports and pods of an allow leaves nothing of it. Of the same tier every deny wins, but
/// in tiers with an order only an earlier one; of an earlier tier it does unless something passes the question on.
fn deny_shadows_allow(
    allow: &Known<'_, '_>,
    denies: &[&Known<'_, '_>],
    passes: &[&Known<'_, '_>],
    found: &mut Found<'_>,
) {
    if allow.peers.as_ref().is_some_and(BTreeSet::is_empty) {
        return;
    }
    let covers = |deny: &&&Known<'_, '_>| {
        let is_passed_on = || {
            passes.iter().any(|pass| pass.rule.direction == deny.rule.direction && pass.comes_before(deny))
        };
        deny.rule.direction == allow.rule.direction
            && deny.comes_before(allow)
            && allow.spec.pods.is_subset(&deny.spec.pods)
            && covers_ports(&deny.rule.ports, &allow.rule.ports)
            && match (&deny.peers, &allow.peers) {
                (None, _) => matches!(deny.rule.peers, Peers::Any | Peers::Selected(_)),
                (Some(_), None) => false,
                (Some(denied), Some(allowed)) => allowed.is_subset(denied),
            }
            && !is_passed_on()
    };
    let Some(deny) = denies.iter().find(covers) else { return };
    let warning = Warning {
        code: "deny-shadows-allow",
        message: format!(
            "nothing is left of this rule: `{}` of {} denies all of it",
            deny.rule.path, deny.spec.id
        ),
        why: "a deny wins over every allow of its tier and of those behind it, however narrow",
        help: "take the rule out, or make the deny narrower".to_owned(),
    };
    found.at_rule(allow.spec.id, &allow.rule.path, warning);
}

impl Known<'_, '_> {
    /// Whether this rule is asked before the other; among rules without an order, a deny before an allow.
    fn comes_before(&self, other: &Self) -> bool {
        let (mine, theirs) = (self.spec.section.tier, other.spec.section.tier);
        if mine != theirs || mine == Tier::Normal {
            return mine <= theirs;
        }
        // Who comes first among policies of one priority, nobody says.
        let index =
            |known: &Self| known.spec.section.rules.iter().position(|rule| std::ptr::eq(rule, known.rule));
        std::ptr::eq(self.spec, other.spec) && index(self) < index(other)
    }
}

fn covers_ports(deny: &Ports, allow: &Ports) -> bool {
    let (deny, allow) = match (deny, allow) {
        (Ports::Any, _) => return true,
        (Ports::Listed(_), Ports::Any) => return false,
        (Ports::Listed(deny), Ports::Listed(allow)) => (deny, allow),
    };
    !allow.is_empty() && allow.iter().all(|allow| deny.iter().any(|deny| covers_port(deny, allow)))
}

fn covers_port(wide: &PortRule, narrow: &PortRule) -> bool {
    wide.protocol == narrow.protocol
        && match (&wide.port, &narrow.port) {
            (PortMatch::Every, _) => true,
            (PortMatch::Range(first, last), PortMatch::Range(a, b)) => first <= a && b <= last,
            (PortMatch::Named(a), PortMatch::Named(b)) => a == b,
            (PortMatch::Range(..), PortMatch::Every | PortMatch::Named(_))
            | (PortMatch::Named(_), PortMatch::Every | PortMatch::Range(..)) => false,
        }
}

/// Row 23: whom a plain rule names too, may send what it likes. Of rules with the very same peers a proxy sees the
/// traffic, and lets all of it pass; lists of server names alone still hold then.
fn proxy_overruled(proxied: &Known<'_, '_>, allows: &[&Known<'_, '_>], found: &mut Found<'_>) {
    // The backends of services are known once policies are compiled.
    let is_known = |known: &Known<'_, '_>| matches!(known.rule.peers, Peers::Any | Peers::Selected(_));
    let meets = |plain: &Known<'_, '_>| match (&plain.peers, &proxied.peers) {
        _ if !is_known(plain) || !is_known(proxied) => false,
        (None, None) => true,
        (None, Some(some)) | (Some(some), None) => !some.is_empty(),
        (Some(plain), Some(proxied)) => !plain.is_disjoint(proxied),
    };
    for port in proxied.rule.listed_ports() {
        let kind = match &port.inspect {
            None => continue,
            Some(Inspection::Http(_)) => "HTTP",
            Some(Inspection::Dns(_)) => "DNS",
            Some(Inspection::Tls(_)) => "server name",
        };
        let opens = |plain: &&&Known<'_, '_>| {
            plain.rule.direction == proxied.rule.direction
                && plain.spec.section.tier == proxied.spec.section.tier
                && (kind != "server name" || plain.rule.peers != proxied.rule.peers)
                && (!plain.spec.pods.is_disjoint(&proxied.spec.pods)
                    || std::ptr::eq(plain.spec, proxied.spec))
                && match &plain.rule.ports {
                    Ports::Any => true,
                    Ports::Listed(ports) => {
                        ports.iter().any(|plain| plain.inspect.is_none() && covers_port(plain, port))
                    }
                }
                && meets(plain)
        };
        let Some(plain) = allows.iter().find(opens) else { continue };
        let warning = Warning {
            code: "proxy-overruled",
            message: format!(
                "`{}` of {} lets some of these peers pass whatever these {kind} rules say",
                plain.rule.path, plain.spec.id
            ),
            why: "whom a rule without them names as well is allowed, whatever it sends",
            help: "narrow the other rule's peers or ports, or give it the same rules".to_owned(),
        };
        found.at_rule(proxied.spec.id, &port.path, warning);
    }
}

/// Row 18: default deny that one policy switches off, another has switched on.
fn switch_overruled(scene: &Scene<'_>, spec: &Spec<'_>, found: &mut Found<'_>) {
    let Some(switch) = spec.text.get("enableDefaultDeny") else { return };
    for (direction, key) in [(Direction::Ingress, "ingress"), (Direction::Egress, "egress")] {
        if switch.get(key).and_then(serde_yaml::Value::as_bool) != Some(false) {
            continue;
        }
        let closes = |other: &&Spec<'_>| {
            other.section.tier == Tier::Normal
                && other.section.enforcement(direction).under(scene.dialect) == Enforcement::DefaultDeny
                && !other.pods.is_disjoint(&spec.pods)
        };
        let Some(other) = scene.sections.iter().find(closes) else { continue };
        let warning = Warning {
            code: "switch-overruled",
            message: format!("{} denies {key} by default for some of these pods all the same", other.id),
            why: "default deny holds as soon as one policy of a pod has it; a switch speaks for its own policy alone",
            help: "switch it off there too, or take the switch for what it is".to_owned(),
        };
        found.add(spec.id, &format!("{}.enableDefaultDeny.{key}", spec.path), warning);
    }
}
