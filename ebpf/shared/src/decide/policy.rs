//! Which entry of a policymap decides one packet.

use crate::{Action, Author, DropReason, Identity, MatchType, PolicyEntry, PolicyKey, Proxy, Verdict};

/// The decision on one packet and who made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Forwarded, redirected, or dropped with reason 133 or 181.
    pub verdict: Verdict,
    /// Rule that decided ([`Author`]).
    pub rule: u32,
    /// How specific the deciding entry is.
    pub match_type: MatchType,
}

/// Decides one packet under a policy: two longest-prefix lookups and one comparison.
///
/// 1. Policy 0 enforces nothing: forwarded.
/// 2. Look up the peer's own identity, then any identity.
/// 3. The higher precedence wins; then the longer prefix; then the entry for the peer's own identity.
/// 4. No entry, or one that says so in the place of a tier's rule that passes: dropped by default deny.
///
/// `port` is the destination port in host order, or the ICMP type.
/// Source: Cilium `bpf/lib/policy.h`, `__policy_can_access`.
#[inline(always)]
pub fn decide(
    policy: u32,
    peer: Identity,
    protocol: u8,
    port: u16,
    lookup: impl Fn(&PolicyKey) -> Option<PolicyEntry>,
) -> Decision {
    if policy == 0 {
        return Decision { verdict: Verdict::Forwarded, rule: Author::NONE, match_type: MatchType::None };
    }
    let own = lookup(&PolicyKey::exact(policy, peer, protocol, port));
    let any = lookup(&PolicyKey::exact(policy, Identity::ANY, protocol, port));
    match (own, any) {
        (None, None) => DEFAULT_DENY,
        (Some(own), None) => of_entry(&own, true),
        (None, Some(any)) => of_entry(&any, false),
        (Some(own), Some(any)) => {
            let own_wins = if own.precedence == any.precedence {
                own.prefix >= any.prefix
            } else {
                own.precedence > any.precedence
            };
            if own_wins { of_entry(&own, true) } else { of_entry(&any, false) }
        }
    }
}

const DEFAULT_DENY: Decision = Decision {
    verdict: Verdict::Dropped(DropReason::PolicyDenied),
    rule: Author::DEFAULT_DENY,
    match_type: MatchType::None,
};

#[inline(always)]
fn of_entry(entry: &PolicyEntry, names_peer: bool) -> Decision {
    if entry.rule == Author::DEFAULT_DENY {
        return DEFAULT_DENY;
    }
    let verdict = if entry.action == Action::Deny as u8 {
        Verdict::Dropped(DropReason::PolicyDeny)
    } else if entry.action == Action::Redirect as u8 {
        match Proxy::from_number(entry.proxy) {
            Some(proxy) => Verdict::Redirected(proxy),
            None => Verdict::Dropped(DropReason::NoProxyForProtocol),
        }
    } else {
        Verdict::Forwarded
    };
    let prefix = u32::from(entry.prefix);
    let match_type = if names_peer {
        if prefix > PolicyKey::PREFIX_PROTOCOL {
            MatchType::L3L4
        } else if prefix > PolicyKey::PREFIX_ANY {
            MatchType::L3Protocol
        } else {
            MatchType::L3Only
        }
    } else if prefix > PolicyKey::PREFIX_PROTOCOL {
        MatchType::L4Only
    } else if prefix > PolicyKey::PREFIX_ANY {
        MatchType::ProtocolOnly
    } else {
        MatchType::All
    };
    Decision { verdict, rule: entry.rule, match_type }
}
