//! The chain as text.

use std::fmt::{self, Display, Formatter};

use super::side::{Considered, Quote, Side};
use super::{Explanation, Party};

impl Display for Explanation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { question, verdict, from, to, egress, ingress, flips } = self;
        writeln!(f, "{question}: {}", verdict.summary())?;
        if let Some(service) = verdict.service_line() {
            writeln!(f, "\n{service}")?;
        }
        writeln!(f)?;
        party(f, "from", from)?;
        party(f, "to", to)?;
        for (word, side, verdict) in
            [("egress", egress, verdict.egress_word()), ("ingress", ingress, verdict.ingress_word())]
        {
            writeln!(f)?;
            direction(f, word, side, &verdict)?;
        }
        if let Some(layer7) = verdict.layer7_line() {
            writeln!(f, "\n{layer7}")?;
        }
        let Some(flips) = flips else { return Ok(()) };
        if flips.is_empty() {
            return writeln!(f, "\nno single change was found that turns it over");
        }
        writeln!(f, "\neach of these alone turns it over:")?;
        flips.iter().try_for_each(|flip| writeln!(f, "  {flip}"))
    }
}

fn party(f: &mut Formatter<'_>, word: &str, party: &Party) -> fmt::Result {
    let Party { name, identity, labels, node } = party;
    let node = node.as_ref().map(|node| format!(" on {node}")).unwrap_or_default();
    writeln!(f, "{word:<5} {name}{node}, identity {identity}")?;
    labels.iter().try_for_each(|label| writeln!(f, "        {label}"))
}

fn direction(f: &mut Formatter<'_>, word: &str, side: &Side, verdict: &str) -> fmt::Result {
    let Side { endpoint, selected_by, rules, quoted } = side;
    let Some(endpoint) = endpoint else {
        return writeln!(f, "{word}: {verdict}, there is no endpoint with policies");
    };
    writeln!(f, "{word} at {endpoint}: {verdict}")?;
    if selected_by.is_empty() {
        writeln!(f, "  no policy selects it for {word}")?;
    }
    for policy in selected_by {
        let at = policy.at.as_ref().map(|at| format!(" ({at})")).unwrap_or_default();
        let effect = if policy.default_deny { "switches default deny on" } else { "leaves the rest open" };
        writeln!(f, "  selected by {}{at}, which {effect}", policy.policy)?;
    }
    rules.iter().try_for_each(|rule| considered(f, rule))?;
    quoted.iter().try_for_each(|lines| quote(f, lines))
}

fn considered(f: &mut Formatter<'_>, rule: &Considered) -> fmt::Result {
    let word = match (rule.decides, rule.matches, rule.nearly) {
        (true, _, _) => "decides",
        (false, true, _) => "matches",
        (false, false, true) => "nearly",
        (false, false, false) => "no",
    };
    let at = rule.at.as_ref().map(|at| format!(" ({at})")).unwrap_or_default();
    writeln!(f, "  {word:<8}{} {} {}{at}", rule.effect, rule.policy, rule.rule)?;
    rule.failed.iter().try_for_each(|failed| writeln!(f, "            {failed}"))
}

fn quote(f: &mut Formatter<'_>, quote: &Quote) -> fmt::Result {
    writeln!(f, "  --> {}:{}", quote.file, quote.line)?;
    let width = (quote.line + quote.lines.len()).to_string().len();
    for (number, line) in (quote.line..).zip(&quote.lines) {
        writeln!(f, "  {number:>width$} | {line}")?;
    }
    Ok(())
}
