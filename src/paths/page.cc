#include "paths/page.h"

#include "base/json_text.h"
#include "paths/catalogue.h"
#include "paths/report.h"

namespace redoubt::paths {

namespace {

constexpr std::string_view kHead = R"html(<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Paths of the cluster</title>
<style>
:root{--ground:#fff;--text:#1b1f24;--faint:#57606a;--line:#d0d7de;--card:#f6f8fa;--secure:#1a7f37;--weak:#8a5a00;--open:#c0152a;--unknown:#57606a;--focus:#0550ae}
@media (prefers-color-scheme:dark){:root{--ground:#0d1117;--text:#e6edf3;--faint:#9ba7b4;--line:#3d444d;--card:#161b22;--secure:#3fb950;--weak:#e0a63c;--open:#ff7b72;--unknown:#9ba7b4;--focus:#79c0ff}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--text);font:16px/1.5 system-ui,sans-serif}
header,main{max-width:76rem;margin:0 auto;padding:1rem}
h1{font-size:1.35rem;margin:0}
h2{font-size:1.1rem;margin:1.5rem 0 .5rem}
p{margin:.25rem 0}
.faint{color:var(--faint)}
#counts{display:flex;flex-wrap:wrap;gap:.5rem;padding:0;margin:.75rem 0;list-style:none}
#counts li{border:1px solid var(--line);border-radius:1rem;padding:.1rem .75rem;background:var(--card)}
.secure{color:var(--secure)}.weak{color:var(--weak)}.open{color:var(--open)}.unknown,.unused{color:var(--unknown)}
.verdict{font-weight:600;white-space:nowrap}
svg{width:100%;height:auto;display:block}
svg text{fill:var(--text);font:13px system-ui,sans-serif}
.box{fill:var(--card);stroke:var(--line)}
.path{cursor:pointer;outline:none}
.path line{stroke:currentColor;stroke-width:2.5}
.path .hit{stroke:transparent;stroke-width:20}
.path text{fill:currentColor;font-size:12px}
.path.weak line.seen{stroke-dasharray:9 4}.path.open line.seen{stroke-width:4;stroke-dasharray:2 4}.path.unknown line.seen,.path.unused line.seen{stroke-width:1.5;stroke-dasharray:3 5}
.path:focus .ring,.path[aria-pressed=true] .ring{stroke:var(--focus);stroke-width:2}
.ring{fill:none;stroke:transparent}
button.row{all:unset;cursor:pointer;color:var(--focus);text-decoration:underline}
button.row:focus-visible,a:focus-visible,section:focus-visible{outline:3px solid var(--focus);outline-offset:2px;border-radius:2px}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.92rem}
th,td{text-align:left;padding:.35rem .6rem;border-bottom:1px solid var(--line);vertical-align:top}
#detail{border:1px solid var(--line);border-radius:.5rem;padding:.75rem 1rem;background:var(--card);min-height:6rem}
#detail h2{margin-top:0}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.1rem 1rem;margin:.5rem 0}
dt{color:var(--faint)}dd{margin:0;overflow-wrap:anywhere}
@media (max-width:40rem){dl{grid-template-columns:1fr}dt{margin-top:.3rem}}
</style>
</head>
<body>
<header>
<h1>Paths of the cluster</h1>
<p id="about" class="faint"></p>
<p id="state" role="status" class="faint"></p>
<ul id="counts" aria-label="How many paths have which verdict"></ul>
</header>
<main>
<h2 id="map-title">Map</h2>
<div id="map" role="group" aria-labelledby="map-title"></div>
<h2>Details</h2>
<section id="detail" aria-live="polite" aria-label="Details of the chosen path" tabindex="-1"><p class="faint">Choose a path in the map or in the list: a click, or Tab and Enter.</p></section>
<h2 id="list-title">List</h2>
<div class="scroll" tabindex="0" role="region" aria-labelledby="list-title"><table><thead><tr><th scope="col">Path</th><th scope="col">From</th><th scope="col">To</th><th scope="col">Live</th><th scope="col">Transport</th><th scope="col">Verified by</th><th scope="col">Verdict</th></tr></thead><tbody id="list"></tbody></table></div>
<div id="tunnels"></div>
<div id="probes"></div>
</main>
)html";

constexpr std::string_view kScript = R"html(<script>
"use strict";
const SVG = "http://www.w3.org/2000/svg";
const MARK = {secure: "\u2713", weak: "!", open: "\u2717", unknown: "?", unused: "\u2013"};
const ORDER = ["open", "weak", "unknown", "secure", "unused"];
const read = id => JSON.parse(document.getElementById(id).textContent);
const catalogue = read("catalogue"), liveUrl = read("live");
let report = read("report"), chosen = null;

function element(name, attributes, ...children) {
  const e = name.startsWith("svg:") ? document.createElementNS(SVG, name.slice(4)) : document.createElement(name);
  for (const [k, v] of Object.entries(attributes || {})) e.setAttribute(k, v);
  for (const c of children) e.append(c);
  return e;
}
const keyOf = o => o.path + "|" + (o.node || "");
const transport = o => [o.tlsVersion, o.cipher, o.tunnel].filter(Boolean).join(", ") || "\u2013";
const verified = o => (o.verifiedBy || "\u2013") + (o.daysLeft === undefined ? "" : ", " + o.daysLeft + " days");
const title = o => o.path + (o.node ? ", node " + o.node : "") + ": " + o.verdict;

// Which box a path leads to, and on which side of the API server it stands.
function place(o) {
  if (o.path === "client-apiserver") return ["left", "people and tools"];
  if (o.path === "component-apiserver") return ["left", "scheduler, controllers, proxy"];
  if (o.path === "pod-apiserver" || o.path === "service-apiserver") return ["left", "pods"];
  if (o.path === "apiserver-store") return ["left", "store"];
  if (o.path === "apiserver-webhook") return ["left", "webhooks, aggregated APIs"];
  if (o.node) return ["right", "node " + o.node];
  if (o.path === "apiserver-pod" || o.path === "apiserver-service") return ["right", "pods and Services, by proxy"];
  if (o.path === "tunnel-konnectivity") return ["right", "Konnectivity"];
  if (o.path === "tunnel-ssh") return ["right", "sshd of nodes"];
  return ["right", "nodes"];
}

// Nodes whose paths all look the same are one box beyond a dozen.
function boxes() {
  const sides = {left: new Map(), right: new Map()};
  const nodes = new Set(report.paths.map(o => o.node).filter(Boolean));
  const merge = nodes.size > 12;
  const looks = {};
  if (merge) for (const n of nodes) looks[n] = report.paths.filter(o => o.node === n).map(o => o.path + o.verdict).join();
  const groups = {};
  for (const n in looks) (groups[looks[n]] = groups[looks[n]] || []).push(n);
  for (const o of report.paths) {
    let [side, name] = place(o);
    if (merge && o.node) {
      const group = groups[looks[o.node]];
      if (group[0] !== o.node) continue;
      if (group.length > 1) name = group.length + " nodes, such as " + o.node;
    }
    if (!sides[side].has(name)) sides[side].set(name, []);
    sides[side].get(name).push(o);
  }
  return sides;
}

function drawPath(o, serverX, otherX, y) {
  const x1 = Math.min(serverX, otherX), x2 = Math.max(serverX, otherX);
  const middle = (x1 + x2) / 2, toServer = o.path.endsWith("-apiserver") || o.path === "tunnel-reverse" || o.path === "tunnel-konnectivity";
  const tip = toServer ? serverX : otherX, towards = tip === x2 ? 1 : -1;
  const g = element("svg:g", {class: "path " + o.verdict, tabindex: "0", role: "button", "aria-label": title(o), "aria-pressed": String(keyOf(o) === chosen), "data-key": keyOf(o)},
    element("svg:rect", {class: "ring", x: x1, y: y - 15, width: x2 - x1, height: 24, rx: 4}),
    element("svg:line", {class: "hit", x1, y1: y, x2, y2: y}),
    element("svg:line", {class: "seen", x1, y1: y, x2, y2: y}),
    element("svg:path", {d: `M${tip} ${y}l${-8 * towards} -5v10z`, fill: "currentColor"}));
  const label = element("svg:text", {x: middle, y: y - 4, "text-anchor": "middle"});
  label.textContent = MARK[o.verdict] + " " + o.path;
  g.append(label);
  g.addEventListener("click", () => choose(keyOf(o)));
  g.addEventListener("keydown", e => {
    if (e.key === "Enter" || e.key === " ") { e.preventDefault(); choose(keyOf(o)); }
    const step = {ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1}[e.key];
    if (!step) return;
    e.preventDefault();
    const all = [...document.querySelectorAll("#map .path")];
    all[(all.indexOf(g) + step + all.length) % all.length].focus();
  });
  return g;
}

function drawBox(svg, x, y, width, height, name) {
  svg.append(element("svg:rect", {class: "box", x, y, width, height, rx: 6}));
  // Words in lines of what fits.
  const lines = [], most = Math.floor(width / 7.2);
  for (const word of name.split(" ")) {
    const cut = word.length > most ? word.slice(0, most - 1) + "\u2026" : word;
    if (lines.length && (lines[lines.length - 1] + " " + cut).length <= most) lines[lines.length - 1] += " " + cut;
    else lines.push(cut);
  }
  lines.slice(0, 3).forEach((text, i) => {
    const t = element("svg:text", {x: x + width / 2, y: y + height / 2 + 5 + (i - (Math.min(lines.length, 3) - 1) / 2) * 16, "text-anchor": "middle"});
    t.textContent = text;
    svg.append(t);
  });
}

function draw() {
  const focused = document.activeElement && document.activeElement.dataset ? document.activeElement.dataset.key : null;
  const narrow = window.innerWidth < 700, sides = boxes();
  const svg = element("svg:svg", {"aria-label": "Control plane, nodes and the paths between them"});
  const heightOf = list => [...list.values()].reduce((sum, paths) => sum + Math.max(50, paths.length * 30 + 12) + 14, 0);
  const column = (list, top, boxX, boxWidth, serverX, otherX) => {
    let y = top;
    for (const [name, paths] of list) {
      const height = Math.max(50, paths.length * 30 + 12);
      drawBox(svg, boxX, y, boxWidth, height, name);
      const first = y + height / 2 - (paths.length - 1) * 15 + 4;
      paths.forEach((o, i) => svg.append(drawPath(o, serverX, otherX, first + i * 30)));
      y += height + 14;
    }
    return y;
  };
  let height;
  if (narrow) {
    // One column: the API server to the left, everything else below each other.
    height = heightOf(sides.left) + heightOf(sides.right) + 10;
    drawBox(svg, 4, 4, 78, height - 18, "API server");
    const y = column(sides.left, 4, 268, 128, 82, 268);
    column(sides.right, y, 268, 128, 82, 268);
    svg.setAttribute("viewBox", `0 0 400 ${height}`);
  } else {
    height = Math.max(heightOf(sides.left), heightOf(sides.right), 160) + 10;
    drawBox(svg, 430, 4, 130, height - 18, "API server");
    column(sides.left, 4, 4, 170, 430, 174);
    column(sides.right, 4, 800, 186, 560, 800);
    svg.setAttribute("viewBox", `0 0 990 ${height}`);
  }
  document.getElementById("map").replaceChildren(svg);
  if (focused) { const again = svg.querySelector(`[data-key="${CSS.escape(focused)}"]`); if (again) again.focus(); }
}

function list() {
  document.getElementById("list").replaceChildren(...report.paths.map(o => {
    const button = element("button", {class: "row", type: "button", "data-key": keyOf(o)}, o.path);
    button.addEventListener("click", () => { choose(keyOf(o)); document.getElementById("detail").focus(); });
    return element("tr", {}, element("td", {}, button), element("td", {}, o.from || ""), element("td", {}, o.to || ""),
      element("td", {}, o.live === undefined ? "\u2013" : String(o.live)), element("td", {}, transport(o)), element("td", {}, verified(o)),
      element("td", {class: "verdict " + o.verdict}, MARK[o.verdict] + " " + o.verdict));
  }));
}

function choose(key) {
  chosen = key;
  detail();
  for (const g of document.querySelectorAll("#map .path")) g.setAttribute("aria-pressed", String(g.dataset.key === key));
}

function detail() {
  const o = report.paths.find(p => keyOf(p) === chosen);
  if (!o) return;
  const facts = catalogue[o.path] || {};
  const terms = element("dl");
  const term = (name, value) => { if (value) terms.append(element("dt", {}, name), element("dd", {}, value)); };
  term("From", o.from); term("To", o.to); term("Live", o.live === undefined ? "" : String(o.live)); term("Transport", transport(o));
  term("Client", o.clientIdentity); term("Server", o.serverIdentity); term("Authorization", o.authorization); term("Verified by", verified(o));
  term("Carries", facts.carries); term("Claim", facts.claim);
  const seen = element("ul");
  for (const f of [...o.findings].sort((a, b) => ORDER.indexOf(a.verdict) - ORDER.indexOf(b.verdict))) {
    const item = element("li", {}, element("span", {class: "verdict " + f.verdict}, f.verdict), " " + f.id + ": " + f.saw + ". ");
    if (f.advice) item.append(element("strong", {}, f.advice));
    seen.append(item);
  }
  document.getElementById("detail").replaceChildren(
    element("h2", {}, o.path + (o.node ? ", node " + o.node : "") + " ", element("span", {class: "verdict " + o.verdict}, MARK[o.verdict] + " " + o.verdict)), terms, seen);
}

function tunnels() {
  const all = report.paths.flatMap(o => o.tunnels || []);
  if (!all.length) return document.getElementById("tunnels").replaceChildren();
  const cell = text => element("td", {}, text === undefined || text === "" ? "\u2013" : String(text));
  const head = ["Tunnel", "Node", "Peer", "Since", "Streams", "Bytes to node", "Bytes from node", "Round trip", "Last error"];
  const rows = all.map(t => element("tr", {}, cell(t.kind + (t.up ? "" : " (not up)")), cell(t.node), cell(t.peer), cell(t.since), cell(t.streams),
    cell(t.bytesToNode), cell(t.bytesFromNode), cell(t.roundTripMicroseconds && (t.roundTripMicroseconds / 1000).toFixed(1) + " ms"), cell(t.lastError)));
  document.getElementById("tunnels").replaceChildren(element("h2", {id: "tunnels-title"}, "Tunnels"),
    element("div", {class: "scroll", tabindex: "0", role: "region", "aria-labelledby": "tunnels-title"}, element("table", {},
      element("thead", {}, element("tr", {}, ...head.map(text => element("th", {scope: "col"}, text)))), element("tbody", {}, ...rows))));
}

function render() {
  document.getElementById("about").textContent = report.cluster + (report.serverVersion ? ", " + report.serverVersion : "") + ", seen " + report.time + (report.probed ? ", probed" : "");
  document.getElementById("counts").replaceChildren(...ORDER.map(v => [v, report.paths.filter(o => o.verdict === v).length]).filter(([, n]) => n)
    .map(([v, n]) => element("li", {class: v}, MARK[v] + " " + n + " " + v)));
  draw(); list(); detail(); tunnels();
  const probes = report.probes || [];
  document.getElementById("probes").replaceChildren(...(probes.length ? [element("h2", {}, "Probes"), element("ul", {}, ...probes.map(p =>
    element("li", {}, element("span", {class: "verdict " + p.verdict}, p.verdict === "unknown" ? "not done" : p.verdict), " " + p.path + ", " + p.id + (p.node ? ", node " + p.node : "") + ": " + p.did + ": " + p.saw)))] : []));
}

async function refresh() {
  const state = document.getElementById("state");
  try {
    const answer = await fetch(liveUrl, {headers: {accept: "application/json"}, cache: "no-store"});
    if (!answer.ok) throw new Error("the server answered " + answer.status);
    const next = await answer.json(), without = (key, value) => key === "tunnels" ? undefined : value;
    // What tunnels carry changes all the time: only their own table is drawn anew for it.
    const changed = JSON.stringify(next.paths, without) !== JSON.stringify(report.paths, without);
    report = next;
    if (changed) render(); else tunnels();
    if (!changed) document.getElementById("about").textContent = report.cluster + ", " + report.serverVersion + ", seen " + report.time;
    if (state.textContent !== "Live") state.textContent = "Live";
  } catch (error) {
    state.textContent = "Not live: " + error.message;
  }
  setTimeout(refresh, 5000);
}

render();
let resizing;
window.addEventListener("resize", () => { clearTimeout(resizing); resizing = setTimeout(draw, 100); });
if (liveUrl) setTimeout(refresh, 2000);
</script>
</body>
</html>
)html";

// Inside <script>, where "</script>" and "<!--" would end it.
std::string embedded(std::string_view id, std::string_view json) {
  std::string out = "<script type=\"application/json\" id=\"" + std::string(id) + "\">";
  for (char c : json) {
    if (c == '<')
      out += "\\u003c";
    else
      out += c;
  }
  return out + "</script>\n";
}

std::string escaped(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c == '<')
      out += "&lt;";
    else if (c == '&')
      out += "&amp;";
    else
      out += c;
  }
  return out;
}

std::string catalogue_json() {
  std::string out = "{";
  for (const PathFacts* path : catalogue()) {
    out += out.size() > 1 ? "," : "";
    append_json_string(out, path->id);
    out += ":{\"carries\":";
    append_json_string(out, path->carries.en);
    out += ",\"claim\":";
    append_json_string(out, path->claim.en);
    out += '}';
  }
  return out + "}";
}

}  // namespace

std::string report_page(const Report& report, const PageOptions& options) {
  std::string out(kHead);
  out += "<noscript><pre>" + escaped(report_table(report, {})) + "</pre></noscript>\n";
  out += embedded("catalogue", catalogue_json());
  out += embedded("report", report_json(report));
  std::string url;
  append_json_string(url, options.live_url);
  out += embedded("live", url);
  out += kScript;
  return out;
}

}  // namespace redoubt::paths
