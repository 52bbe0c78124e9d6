// Every page in every state, in light and dark, narrow and wide.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";

import { HtmlValidate } from "html-validate";

import { axe } from "./support/axe.mjs";
import { launch, openPage } from "./support/browser.mjs";
import * as steps from "./support/journey.mjs";
import { PAGES, SITES } from "./support/pages.mjs";
import { screenshotPath } from "./support/reports.mjs";
import { startSite } from "./support/site.mjs";

const WIDTHS = [320, 1280];
const SCHEMES = ["light", "dark"];

const LOOK = readFileSync(new URL("support/look.js", import.meta.url), "utf8");

/** WCAG 1.4.12. A style sheet made by a script is none of the page's, so that the CSP lets it be. */
const TEXT_SPACING = `
  * { line-height: 1.5 !important; letter-spacing: 0.12em !important; word-spacing: 0.16em !important }
  p { margin-block-end: 2em !important }`;

const html = new HtmlValidate({
  root: true,
  extends: ["html-validate:recommended"],
  // The lines that a template leaves empty are nobody's to read, and compress to nothing.
  rules: { "no-trailing-whitespace": "off" },
});

const sites = {};
const titles = new Map();
const notices = new Map();
let browser;

before(async () => {
  const starts = Object.entries(SITES).map(async ([name, settings]) => {
    sites[name] = await startSite(settings);
  });
  [browser] = await Promise.all([launch(), ...starts]);
});

after(async () => {
  await browser?.close();
  await Promise.all(Object.values(sites).map((site) => site.stop()));
});

for (const { name, of, status = 200, site = "open", isForm = status === 422, open } of PAGES) {
  test(name, async (t) => {
    const page = await openPage(browser, { site: sites[site] });
    t.after(() => page.context().close());
    await open(page, sites[site]);
    // Playwright can tell of the answer after the load of what it brought.
    if (page.served.status() !== status) await page.waitForResponse((late) => late.status() === status);
    assert.equal(page.served.status(), status);
    remember(of, await page.title(), isForm, SITES[site].VESTIBULE_SITE_NAME);

    const served = await page.served.text();
    await page.evaluate(LOOK);
    for (const [kind, ...signs] of await page.evaluate(() => look.notices())) notices.set(kind, signs);
    const found = [...invalid(served, site), ...(await looks(page, "frame"))];
    for (const width of WIDTHS) {
      await page.setViewportSize({ width, height: 800 });
      for (const scheme of SCHEMES) {
        await page.emulateMedia({ colorScheme: scheme });
        const path = screenshotPath(`${name}-${width}-${scheme}`);
        await page.screenshot({ path, fullPage: true, animations: "disabled" });
        const here = [...(await axe(page)), ...(await looks(page, "inputs", "boxes"))];
        found.push(...here.map((complaint) => `${width} px, ${scheme}: ${complaint}`));
      }
      found.push(...(await looksAnyhow(page)).map((complaint) => `${width} px: ${complaint}`));
    }
    assert.deepEqual([...found, ...page.complaints], []);
  });
}

test("every page has a title of its own, which says when its form was refused", () => {
  const words = [...titles.values()];
  assert.equal(new Set(words).size, words.length, `${words}`);
});

test("notices of the three kinds differ in sign, colour and word", () => {
  assert.deepEqual([...notices.keys()].sort(), ["notice done", "notice info", "notice warning"]);
  for (const of of [0, 1, 2]) {
    const signs = [...notices.values()].map((signs) => signs[of]);
    assert.equal(new Set(signs).size, 3, `${signs}`);
  }
});

test("a logo for dark pages is shown there", async (t) => {
  const page = await openPage(browser, { site: sites.wordmark });
  t.after(() => page.context().close());
  await page.goto("/login");
  const logo = page.getByRole("link", { name: "Orev", exact: true }).getByRole("img", { name: "Orev" });
  const shown = [];
  for (const colorScheme of SCHEMES) {
    await page.emulateMedia({ colorScheme });
    shown.push(await logo.evaluate((img) => img.decode().then(() => img.currentSrc)));
  }
  assert.notEqual(shown[0], shown[1]);
});

test("the login form stands on a phone's first screen", async (t) => {
  const page = await openPage(browser, { site: sites.open, width: 360, height: 640 });
  t.after(() => page.context().close());
  await page.goto("/login");
  await page.evaluate(LOOK);
  const lowest = await page.evaluate(() => look.lowest("main input, main button[type=submit]"));
  assert.ok(lowest <= 640, `it ends at ${lowest} px`);
  await steps.button(page, "Log in").click({ trial: true });
});

for (const [width, height] of [[1366, 560], [740, 360]]) {
  test(`a short window keeps the column, and shows the login form: ${width}x${height}`, async (t) => {
    const page = await openPage(browser, { site: sites.open, width, height });
    t.after(() => page.context().close());
    const found = [];
    for (const path of ["/login", "/register", "/forgot", "/nowhere"]) {
      if (path === "/nowhere") page.expectRefusal(path, 404);
      await page.goto(path);
      await page.evaluate(LOOK);
      const widest = await page.evaluate(() => look.widest("main > *, main input, main button"));
      if (widest > 26 * 16) found.push(`${path}: ${widest} px wide`);
      found.push(...(await looks(page, "room", "targets", "axis")).map((complaint) => `${path}: ${complaint}`));
    }
    assert.deepEqual(found, []);
    await page.goto("/login");
    await page.evaluate(LOOK);
    const lowest = await page.evaluate(() => look.lowest("main input, main button[type=submit]"));
    assert.ok(lowest <= height, `it ends at ${lowest} px`);
  });
}

test("the width of the fields does not depend on the height", async (t) => {
  const page = await openPage(browser, { site: sites.open });
  t.after(() => page.context().close());
  await page.goto("/register");
  await page.evaluate(LOOK);
  for (const width of [320, 480, 639, 640, 768, 1280, 1920]) {
    const widths = [];
    for (const height of [320, 575, 577, 1200]) {
      await page.setViewportSize({ width, height });
      widths.push(await page.evaluate(() => look.widest("main input")));
    }
    assert.equal(new Set(widths).size, 1, `${width} px: ${widths}`);
    assert.ok(widths[0] <= 26 * 16, `${width} px: ${widths}`);
  }
});

test("the focus leaves the heading in sight on a small phone", async (t) => {
  const page = await openPage(browser, { site: sites.open, width: 320, height: 568 });
  t.after(() => page.context().close());
  const ways = {
    "/login": () => page.goto("/login"),
    "/register": () => page.goto("/register"),
    "/forgot": () => page.goto("/forgot"),
    "/reset": () => steps.askForCode(page, steps.person("ann")),
  };
  for (const [path, go] of Object.entries(ways)) {
    await go();
    await page.waitForURL(path);
    await page.locator("input:focus").waitFor();
    const { top, bottom } = await page.locator("h1").evaluate((h1) => h1.getBoundingClientRect());
    assert.ok(top >= 0 && bottom <= 568, `${path}: from ${top} to ${bottom} px`);
  }
});

/** Refused forms keep the title of their page, with "Error: " before it and the site's name behind. */
function remember(of, title, isForm, siteName = "Vestibule") {
  assert.equal(title.startsWith("Error: "), isForm, title);
  assert.ok(title.endsWith(` – ${siteName}`), title);
  const plain = title.replace(/^Error: /, "").replace(` – ${siteName}`, "");
  assert.equal(titles.get(of) ?? plain, plain);
  titles.set(of, plain);
}

function invalid(served, site) {
  const { results } = html.validateStringSync(served);
  const messages = results
    .flatMap(({ messages }) => messages)
    // A name of 60 characters was its owner's choice.
    .filter(({ ruleId }) => !(site === "branded" && ruleId === "long-title"));
  return messages.map(({ ruleId, message, line }) => `HTML, line ${line}: ${message} (${ruleId})`);
}

function looks(page, ...functions) {
  return page.evaluate((names) => names.flatMap((name) => look[name]()), functions);
}

/** What no scheme changes: room, targets, and the media that people choose. */
async function looksAnyhow(page) {
  const found = await looks(page, "room", "targets", "axis");
  const spaced = await page.evaluate((css) => {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(css);
    document.adoptedStyleSheets = [sheet];
    const found = look.room();
    document.adoptedStyleSheets = [];
    return found;
  }, TEXT_SPACING);
  const under = async (media, ...functions) => {
    await page.emulateMedia({ colorScheme: "light", ...media });
    const found = await looks(page, ...functions);
    return found.map((complaint) => `${Object.values(media)}: ${complaint}`);
  };
  found.push(...spaced.map((complaint) => `text spacing: ${complaint}`));
  found.push(...(await under({ forcedColors: "active" }, "room", "borders")));
  found.push(...(await under({ forcedColors: "none", reducedMotion: "reduce" }, "motion")));
  found.push(...(await under({ reducedMotion: "no-preference", media: "print" }, "room", "paper")));
  await page.emulateMedia({ media: "screen" });
  return found;
}
