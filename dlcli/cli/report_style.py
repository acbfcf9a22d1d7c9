"""The style sheet of a report: narrow and wide, light and dark, and on paper."""

STYLE = """
:root { color-scheme: light dark; --back: #f8fafc; --card: #ffffff; --text: #0f172a;
  --faint: #52606f; --line: #e2e8f0; --mark: #dbeafe; --accent: #1d4ed8; }
@media (prefers-color-scheme: dark) { :root { --back: #0b1120; --card: #151e2e; --text: #e2e8f0;
  --faint: #94a3b8; --line: #293548; --mark: #1e3a5f; --accent: #93c5fd; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.25rem; max-width: 80rem; background: var(--back);
  color: var(--text); font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { margin: 0; font-size: 1.7rem; line-height: 1.2; }
h2 { margin: 0 0 .8rem; font-size: 1.15rem; }
h3 { margin: 1.2rem 0 .4rem; font-size: .95rem; }
header p { margin: .3rem 0 1rem; color: var(--faint); }
section { margin-top: 1.25rem; padding: 1rem 1.1rem; background: var(--card);
  border: 1px solid var(--line); border-radius: .6rem; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: .7rem; }
.tiles div { padding: .6rem .8rem; background: var(--card); border: 1px solid var(--line);
  border-radius: .6rem; }
.tiles b { display: block; font-size: 1.3rem; color: var(--accent);
  font-variant-numeric: tabular-nums; }
.tiles span { color: var(--faint); font-size: .8rem; }
.gallery { columns: 2 32rem; column-gap: 1rem; }
figure { margin: 0 0 1rem; break-inside: avoid; }
figure img { display: block; width: auto; max-width: 100%; height: auto; margin: 0 auto;
  padding: .4rem; background: #ffffff; border: 1px solid var(--line); border-radius: .4rem; }
figcaption { margin-top: .35rem; color: var(--faint); font-size: .85rem; text-align: center; }
code, pre { font-family: ui-monospace, monospace; font-size: .85em; }
pre { margin: 0; overflow-x: auto; overflow-wrap: normal; }
dl { display: grid; gap: 0 1.6rem; margin: 0; font-size: .9rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 21rem), 1fr)); }
dl div { display: flex; gap: .8rem; justify-content: space-between; padding: .25rem 0;
  border-bottom: 1px solid var(--line); }
dt { color: var(--faint); max-width: 60%; flex: none; }
dd { margin: 0; text-align: right; font-variant-numeric: tabular-nums; }
.scroll { overflow: auto; max-height: 32rem; }
table { width: 100%; border-collapse: collapse; font-size: .85rem; overflow-wrap: normal;
  font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .6rem; text-align: right; white-space: nowrap;
  border-bottom: 1px solid var(--line); }
th { position: sticky; top: 0; background: var(--card); color: var(--faint); font-weight: 600; }
td.t, th.t { text-align: left; }
td.t { max-width: 24rem; overflow: hidden; text-overflow: ellipsis; }
tr.best td { background: var(--mark); }
footer { margin: 1.5rem 0 .5rem; color: var(--faint); font-size: .8rem; text-align: center; }
@media (max-width: 32rem) { body { padding: .7rem; } section { padding: .8rem .7rem; } }
@media print { body { max-width: none; } .scroll { max-height: none; }
  section, figure { break-inside: avoid; } }
"""
