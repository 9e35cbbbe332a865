//! The page for a browser: one file with its own style, without scripts and without anything to load.

use super::{Flow, Page, Pair};

const STYLE: &str = "\
body{font:14px/1.4 system-ui,sans-serif;margin:2em;color:#222;background:#fff}\
table{border-collapse:collapse;margin:1em 0}\
th,td{border:1px solid #ccc;padding:.3em .6em;text-align:left;vertical-align:top}\
th{background:#f3f3f3;position:sticky;top:0}\
.all{background:#d9f2d9}.some{background:#fff3c4}.none{background:#f7d4d4}.unasked{background:#eee}\
summary{cursor:pointer}dd{margin:0 0 .4em 1em}";

/// The page.
pub(super) fn render(page: &Page) -> String {
    let mut text = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <title>Who can talk to whom</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <h1>Who can talk to whom</h1>\n<p>Traffic: {}. A star: a proxy decides by request.</p>\n\
         <table>\n<tr><th>from \\ to</th>",
        escaped(&page.traffic.join(" "))
    );
    for receiver in page.parties.iter().filter(|party| party.receives) {
        text +=
            &format!("<th title=\"{}\">{}</th>", escaped(&receiver.pods.join(" ")), escaped(&receiver.name));
    }
    text += "</tr>\n";
    for sender in page.parties.iter().filter(|party| party.sends) {
        let pods = escaped(&sender.pods.join(" "));
        text += &format!("<tr><th title=\"{pods}\">{}</th>", escaped(&sender.name));
        for receiver in page.parties.iter().filter(|party| party.receives) {
            text += &match page.pair(sender.number, receiver.number) {
                Some(pair) => cell(pair),
                None => "<td class=\"unasked\"></td>".to_owned(),
            };
        }
        text += "</tr>\n";
    }
    text + "</table>\n</body>\n</html>\n"
}

fn cell(pair: &Pair) -> String {
    let passing = pair.flows.iter().filter(|flow| flow.passes()).count();
    let class = match passing {
        0 => "none",
        all if all == pair.flows.len() => "all",
        _ => "some",
    };
    let details: String = pair.flows.iter().map(why).collect();
    format!(
        "<td class=\"{class}\"><details><summary>{}</summary><dl>{details}</dl></details></td>",
        escaped(&pair.summary())
    )
}

fn why(flow: &Flow) -> String {
    format!(
        "<dt>{} {}</dt><dd>egress {}<br>ingress {}</dd>",
        escaped(&flow.traffic),
        flow.verdict,
        escaped(&flow.egress.to_string()),
        escaped(&flow.ingress.to_string())
    )
}

/// Text that is nothing but text.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
