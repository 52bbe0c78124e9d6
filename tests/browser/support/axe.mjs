// What axe finds in a page, by one set of rules, and how often it was asked.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename } from "node:path";

import { report } from "./reports.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** Switched off: 7:1 for all text is WCAG's AAA, which no page of ours promises. */
const LEFT_OUT = ["color-contrast-enhanced"];

const FILE = basename(process.argv[1]);

let checks = 0;
const unsure = new Set();

// Each file runs in a process of its own, and `cargo test` adds up what they leave.
process.once("exit", () => {
  const review = unsure.size ? `, which could not judge: ${[...unsure].join(", ")}` : "";
  report(`axe/${FILE}`, [`${checks} in ${FILE}${review}`]);
});

/** The violations of all rules but these. */
export async function axe(page, { without = [] } = {}) {
  checks += 1;
  await page.evaluate(AXE);
  const { violations, incomplete } = await page.evaluate(async (leftOut) => {
    const enabled = axe.getRules().map(({ ruleId }) => [ruleId, { enabled: !leftOut.includes(ruleId) }]);
    return axe.run({ rules: Object.fromEntries(enabled), resultTypes: ["violations", "incomplete"] });
  }, [...LEFT_OUT, ...without]);
  for (const { id } of incomplete) unsure.add(id);
  return violations.map(({ id, help, nodes }) => `axe ${id}: ${help}: ${nodes.map((node) => node.html)}`);
}
