"""The style sheet of pages: system fonts, colours of at least 4.5 to 1 in light and dark, tables that become cards."""

from __future__ import annotations

STYLE = """
:root {
  color-scheme: light dark;
  --page: #ffffff; --raised: #f4f5f7; --text: #1b1f24; --quiet: #57606a; --line: #d0d7de;
  --good: #116329; --good-page: #dafbe1; --bad: #a40e26; --bad-page: #ffebe9; --open: #7d4e00; --open-page: #fff8c5;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #0d1117; --raised: #161b22; --text: #e6edf3; --quiet: #9da7b3; --line: #30363d;
    --good: #56d364; --good-page: #0f2d1a; --bad: #ff8e86; --bad-page: #3a1214; --open: #e3b341; --open-page: #2e2408;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 1rem; max-width: 78rem; background: var(--page); color: var(--text);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere;
}
header { border-left: .4rem solid; border-radius: .4rem; padding: .8rem 1rem; margin-bottom: 1.5rem; }
header.accepted { border-color: var(--good); background: var(--good-page); }
header.refused { border-color: var(--bad); background: var(--bad-page); }
header .verdict { text-transform: uppercase; letter-spacing: .04em; }
header.accepted .verdict { color: var(--good); }
header.refused .verdict { color: var(--bad); }
h1 { font-size: 1.4rem; line-height: 1.3; margin: 0; }
h1 .label { font-size: 1rem; font-weight: normal; color: var(--quiet); }
header p { margin: .4rem 0 0; }
h2 { font-size: 1.1rem; margin: 1.8rem 0 .5rem; }
dl { margin: 0; }
dl div { display: grid; grid-template-columns: 10rem 1fr; gap: .2rem 1rem; padding: .2rem 0; }
dt { color: var(--quiet); }
dd { margin: 0; }
ul { margin: 0; padding-left: 1.2rem; }
table { width: 100%; border-collapse: collapse; font-size: .875rem; margin-top: .5rem; }
th { text-align: left; color: var(--quiet); font-weight: 600; }
th, td { padding: .4rem .6rem .4rem 0; vertical-align: top; border-bottom: 1px solid var(--line); }
td { min-width: 4rem; }
td[data-label="check"], td[data-label="field"], td[data-label="source"] { overflow-wrap: break-word; }
table.short { width: auto; }
table.short th, table.short td { padding-right: 2.5rem; }
td.verdict { font-weight: 600; white-space: nowrap; }
tr.passed .verdict { color: var(--good); }
tr.failed .verdict { color: var(--bad); }
tr.skipped .verdict { color: var(--open); }
tr.failed { background: var(--bad-page); }
footer { margin-top: 2rem; color: var(--quiet); font-size: .875rem; }
@media (max-width: 48rem) {
  dl div { grid-template-columns: 1fr; gap: 0; }
  table, tbody, tr, td { display: block; width: 100%; }
  thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  tr { background: var(--raised); border: 1px solid var(--line); border-radius: .4rem; margin-bottom: .6rem; }
  td { border: 0; padding: .25rem .7rem; }
  td.empty { display: none; }
  td::before { content: attr(data-label); display: block; color: var(--quiet); font-size: .8rem; font-weight: normal; }
}
@media print { body { max-width: none; } tr { break-inside: avoid; } }
"""
