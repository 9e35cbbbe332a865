//! DNS: names that nobody may ask for, servers that nobody runs, names that stand for others.

use egret_core::rule::{Effect, Inspection, Peers, PortMatch, PortRule, Rule};
use egret_core::selector::{NamePattern, Selector};
use egret_core::{ObjectName, Protocol};
use egret_shared::Direction;
use serde_yaml::Value;

use super::scene::{Found, Scene, Spec, Warning};

pub(super) fn check(scene: &Scene<'_>, found: &mut Found<'_>) {
    for spec in &scene.sections {
        fqdn_without_dns_rule(scene, spec, found);
        dns_server_absent(scene, spec, found);
        search_list_refused(scene, spec, found);
        double_star_inside(spec, found);
        placeholder_name(spec, found);
    }
}

/// Addresses are learned from answers that pass the DNS proxy, and from nothing else.
fn fqdn_without_dns_rule(scene: &Scene<'_>, spec: &Spec<'_>, found: &mut Found<'_>) {
    let patterns = patterns_beside(scene, spec);
    for rule in &spec.section.rules {
        let Peers::Selected(selectors) = &rule.peers else { continue };
        for selector in selectors {
            let Selector::Name(wanted) = selector else { continue };
            // A name that the pattern stands for: stars as letters.
            let sample = wanted.text().replace('*', "x");
            if patterns.iter().any(|pattern| pattern.matches(&sample)) {
                continue;
            }
            let warning = Warning {
                code: "fqdn-without-dns-rule",
                message: format!("no DNS rule lets these pods ask for `{}`", wanted.text()),
                why: "addresses of a name are learned from the answers that pass the DNS proxy; without a rule with \
                      `rules.dns` there are none, and the rule never matches",
                help: format!(
                    "allow port 53 to the cluster's DNS with `rules: {{ dns: [{{ matchPattern: \"{}\" }}] }}`",
                    wanted.text()
                ),
            };
            found.at_rule(spec.id, &rule.path, warning);
        }
    }
}

/// What the pods of a section may ask for, by this or any other policy of theirs.
fn patterns_beside<'s>(scene: &'s Scene<'_>, spec: &'s Spec<'_>) -> Vec<&'s NamePattern> {
    let beside = scene.sections.iter().filter(|other| {
        std::ptr::eq(*other, spec) || (!spec.pods.is_empty() && spec.pods.is_subset(&other.pods))
    });
    beside
        .flat_map(|other| &other.section.rules)
        .filter(|rule| rule.direction == Direction::Egress && rule.effect == Effect::Allow)
        .flat_map(Rule::listed_ports)
        .filter_map(names)
        .flatten()
        .collect()
}

/// Dots from which on a pod's resolver asks for a name as it is first (`ndots` in what the kubelet writes).
const DOTS: usize = 5;

/// A pod's resolver asks for a name below its search list first, and some give up at the first refusal.
fn search_list_refused(scene: &Scene<'_>, spec: &Spec<'_>, found: &mut Found<'_>) {
    let namespace = spec.id.namespace.as_deref().unwrap_or(ObjectName::DEFAULT_NAMESPACE);
    let patterns = patterns_beside(scene, spec);
    for port in spec.section.rules.iter().flat_map(Rule::listed_ports) {
        let refused = names(port).into_iter().flatten().find_map(|pattern| {
            let name = pattern.text();
            // Names of the cluster are what the search list is for; whoever writes stars has thought of more.
            if name.contains('*') || name.ends_with(".cluster.local") || name.matches('.').count() >= DOTS {
                return None;
            }
            let first = format!("{name}.{namespace}.svc.cluster.local");
            (!patterns.iter().any(|pattern| pattern.matches(&first))).then_some((name, first))
        });
        let Some((name, first)) = refused else { continue };
        let warning = Warning {
            code: "search-list-refused",
            message: format!("pods ask for `{first}` before `{name}`, and that is refused"),
            why: "with `ndots: 5` a resolver tries the search list first; some give up when the proxy refuses",
            help: "allow `**.cluster.local` too, write names with a dot at their end in the application, or lower `ndots`"
                .to_owned(),
        };
        found.at_rule(spec.id, &port.path, warning);
    }
}

/// Row 25: two stars mean several labels at the beginning alone.
fn double_star_inside(spec: &Spec<'_>, found: &mut Found<'_>) {
    let mut texts = Vec::new();
    gather(&spec.text, spec.path.clone(), &mut texts);
    for (path, text) in texts {
        let is_inside = path.ends_with(".matchPattern")
            && text.trim_start_matches('*').contains("**")
            && !text.chars().all(|letter| letter == '*');
        if !is_inside {
            continue;
        }
        let warning = Warning {
            code: "double-star-inside",
            message: format!("`**` inside `{text}` means no more than `*`"),
            why: "two stars stand for several labels only at the beginning of a pattern, before a dot",
            help: "write one star, which stands for one label or a part of it".to_owned(),
        };
        found.add(spec.id, &path, warning);
    }
}

/// The names that may be asked for at a port.
fn names(port: &PortRule) -> Option<&Vec<NamePattern>> {
    match port.inspect.as_ref()? {
        Inspection::Dns(names) => Some(names),
        Inspection::Http(_) | Inspection::Tls(_) => None,
    }
}

/// A DNS rule for pods none of which serves the port.
fn dns_server_absent(scene: &Scene<'_>, spec: &Spec<'_>, found: &mut Found<'_>) {
    if scene.pods.is_empty() {
        return;
    }
    for rule in &spec.section.rules {
        let Peers::Selected(selectors) = &rule.peers else { continue };
        let is_pods = selectors.iter().all(|selector| match selector {
            Selector::Labels(_) => true,
            Selector::Prefix { .. } | Selector::Group { .. } | Selector::Entity(_) | Selector::Name(_) => {
                false
            }
        });
        if !is_pods || selectors.is_empty() {
            continue;
        }
        let servers: Vec<_> = selectors.iter().flat_map(|selector| scene.selected(selector)).collect();
        // `ANY` stands for SCTP too, over which nobody speaks DNS.
        let speaks_dns = |port: &&PortRule| port.protocol != Protocol::Sctp && names(port).is_some();
        for port in rule.listed_ports().iter().filter(speaks_dns) {
            let serves = servers.iter().flat_map(|pod| &pod.pod.serves);
            let mut same = serves.filter(|serve| serve.protocol == port.protocol);
            let runs = match &port.port {
                PortMatch::Every => same.next().is_some(),
                PortMatch::Range(first, last) => same.any(|serve| (*first..=*last).contains(&serve.port)),
                PortMatch::Named(name) => same.any(|serve| serve.name.as_ref() == Some(name)),
            };
            // Pods that declare no port at all may serve anything.
            let is_silent = servers.iter().any(|pod| pod.pod.serves.is_empty());
            if runs || is_silent {
                continue;
            }
            let warning = Warning {
                code: "dns-server-absent",
                message: format!("nobody whom this rule names serves DNS there over {}", port.protocol),
                why: "names are learned from a server's answers; where no server listens, nothing is learned",
                help: "name the pods that run the cluster's DNS, and the port that they listen on".to_owned(),
            };
            found.at_rule(spec.id, &port.path, warning);
        }
    }
}

/// Domains that are reserved for examples (RFC 2606), or that documentation uses.
const PLACEHOLDER_DOMAINS: [&str; 9] = [
    "example.com",
    "example.net",
    "example.org",
    "foo.com",
    "bar.com",
    "mydomain.com",
    "myservice.com",
    "my-remote-service.com",
    "yourdomain.com",
];

/// Beginnings of words that ask to be replaced.
const PLACEHOLDER_WORDS: [&str; 7] =
    ["<", "change-me", "changeme", "placeholder", "replace-me", "todo", "your-"];

/// A name that was meant to be replaced.
fn placeholder_name(spec: &Spec<'_>, found: &mut Found<'_>) {
    let mut texts = Vec::new();
    gather(&spec.text, spec.path.clone(), &mut texts);
    for (path, text) in texts {
        let lower = text.to_lowercase();
        let is_domain =
            PLACEHOLDER_DOMAINS.iter().any(|known| lower == *known || lower.ends_with(&format!(".{known}")));
        if !is_domain && !PLACEHOLDER_WORDS.iter().any(|word| lower.starts_with(word)) {
            continue;
        }
        let warning = Warning {
            code: "placeholder-name",
            message: format!("`{text}` looks like a placeholder"),
            why: "a name that nobody has matches nothing",
            help: "write the real name".to_owned(),
        };
        found.add(spec.id, &path, warning);
    }
}

/// Every text with its path, descriptions left out.
fn gather<'v>(value: &'v Value, path: String, texts: &mut Vec<(String, &'v str)>) {
    if let Some(text) = value.as_str() {
        texts.push((path, text));
    } else if let Some(items) = value.as_sequence() {
        for (index, item) in items.iter().enumerate() {
            gather(item, format!("{path}[{index}]"), texts);
        }
    } else if let Some(entries) = value.as_mapping() {
        for (key, value) in entries {
            let Some(key) = key.as_str().filter(|key| *key != "description") else { continue };
            let below =
                if key.contains(['.', '[']) { format!("{path}[{key}]") } else { format!("{path}.{key}") };
            gather(value, below, texts);
        }
    }
}
