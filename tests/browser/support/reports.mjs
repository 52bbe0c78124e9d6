// What the tests leave behind for people: screenshots, and the tables that `cargo test` prints.

import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const FOLDER = fileURLToPath(new URL("../../../target/browser/", import.meta.url));

export function screenshotPath(name) {
  return join(FOLDER, "screenshots", `${name}.png`);
}

/** Writes `lines` to a file of this name, for the Rust test to print. */
export function report(name, lines) {
  const path = join(FOLDER, "reports", `${name}.txt`);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, `${lines.join("\n")}\n`);
}

/** Rows as lines, each column as wide as its longest cell. */
export function table(rows) {
  const width = (column) => Math.max(...rows.map((row) => String(row[column]).length));
  const widths = rows[0].map((_, column) => width(column));
  const cell = (value, column) =>
    typeof value === "number" ? String(value).padStart(widths[column]) : value.padEnd(widths[column]);
  return rows.map((row) => row.map(cell).join("  ").trimEnd());
}
