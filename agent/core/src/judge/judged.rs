//! A flow's verdicts as numbers.

use egret_shared::decide::policy::Decision;
use egret_shared::{Author as Number, DropReason, Identity, MatchType, Proxy, Verdict};

use super::SideVerdict;

/// The verdicts on one flow as numbers, which cost no memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judged {
    /// At the endpoint that opens the connection.
    pub egress: SideJudged,
    /// At the endpoint that it is for.
    pub ingress: SideJudged,
}

/// One direction's verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SideJudged {
    /// What happens.
    pub verdict: SideVerdict,
    /// Why it is dropped.
    pub reason: Option<DropReason>,
    /// The proxy that decides, where one does.
    pub proxy: Option<Proxy>,
    /// Number of the policy that was asked; 0: none.
    pub policy: u32,
    /// Number of the rule that decided.
    pub rule: u32,
    /// How specific the deciding row is.
    pub match_type: MatchType,
    /// The other side as this endpoint sees it.
    pub peer: Identity,
}

// === impl SideJudged ===

impl SideJudged {
    /// No policy was asked.
    pub(super) const fn unasked(peer: Identity) -> Self {
        Self {
            verdict: SideVerdict::Unenforced,
            reason: None,
            proxy: None,
            policy: 0,
            rule: Number::NONE,
            match_type: MatchType::None,
            peer,
        }
    }

    pub(super) fn of(decision: &Decision, policy: u32, peer: Identity) -> Self {
        let (verdict, reason, proxy) = match decision.verdict {
            Verdict::Forwarded => (SideVerdict::Allowed, None, None),
            Verdict::Redirected(proxy) => (SideVerdict::Redirected, None, Some(proxy)),
            Verdict::Dropped(reason) => (SideVerdict::Denied, Some(reason), None),
        };
        Self { verdict, reason, proxy, policy, rule: decision.rule, match_type: decision.match_type, peer }
    }

    /// A rule of a document decided, and not a default.
    #[must_use]
    pub const fn is_explicit(&self) -> bool {
        self.rule >= Number::FIRST_RULE
    }
}
