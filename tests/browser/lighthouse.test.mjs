// Lighthouse as it judges a phone. To be run alone: whatever else runs slows the pages that it times.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { launch as launchChrome } from "chrome-launcher";
import lighthouse from "lighthouse";

import { CHROMIUM, FLAGS, launch, openPage } from "./support/browser.mjs";
import * as steps from "./support/journey.mjs";
import { report, table } from "./support/reports.mjs";
import { startSite } from "./support/site.mjs";

/** Other work on the machine makes a page slower and never quicker: the best time is the page's own. */
const MOST_TRIES = 3;

/** The least score of each category. */
const LEAST = { performance: 99, accessibility: 100, "best-practices": 100, seo: 100 };

function register(name) {
  return async (page) => {
    await steps.register(page, steps.person(name));
    await page.waitForURL("/account");
  };
}

const PREPARE = {
  "/register": async () => {},
  "/login": async () => {},
  "/forgot": async () => {},
  "/reset": async (page) => {
    await steps.askForCode(page, steps.person("forgetful"));
    await page.waitForURL("/reset");
  },
  "/account": register("resident"),
  "/account/sessions": register("traveller"),
  "/account/delete": register("leaver"),
  "/verify": register("confirmer"),
};

const cookies = {};
const rows = [];
let site;
let chrome;

before(async () => {
  site = await startSite();
  const browser = await launch();
  try {
    for (const [path, prepare] of Object.entries(PREPARE)) {
      const page = await openPage(browser, { site });
      await prepare(page);
      const jar = await page.context().cookies();
      cookies[path] = jar.map(({ name, value }) => `${name}=${value}`).join("; ");
    }
  } finally {
    await browser.close();
  }
  chrome = await launchChrome({ chromePath: CHROMIUM, chromeFlags: FLAGS, logLevel: "silent" });
});

after(async () => {
  chrome?.kill();
  await site?.stop();
  if (rows.length) report("lighthouse", table([["page", ...Object.keys(LEAST)], ...rows]));
});

for (const path of Object.keys(PREPARE)) {
  test(path, async () => {
    let lhr;
    for (let tries = 0; tries < MOST_TRIES && !isQuick(lhr); tries++) lhr = await judge(path);
    assert.equal(lhr.runtimeError, undefined);
    assert.equal(new URL(lhr.finalDisplayedUrl).pathname, path);
    rows.push([path, ...Object.keys(LEAST).map((category) => score(lhr, category))]);
    const short = Object.keys(LEAST).filter((category) => score(lhr, category) < LEAST[category]);
    assert.deepEqual(short.flatMap((category) => reasons(lhr, category)), []);
  });
}

async function judge(path) {
  const { lhr } = await lighthouse(`${site.url}${path}`, {
    port: chrome.port,
    logLevel: "silent",
    output: "json",
    onlyCategories: Object.keys(LEAST),
    extraHeaders: cookies[path] ? { Cookie: cookies[path] } : undefined,
  });
  return lhr;
}

function isQuick(lhr) {
  return lhr && !lhr.runtimeError && score(lhr, "performance") >= LEAST.performance;
}

function score({ categories }, category) {
  return Math.round((categories[category].score ?? 0) * 100);
}

/** Which audits cost a category its points. */
function reasons(lhr, category) {
  const { audits, categories } = lhr;
  const costly = categories[category].auditRefs.filter(
    ({ id, weight }) => weight > 0 && audits[id].score !== null && audits[id].score < 1,
  );
  const why = costly.map(({ id }) => `${audits[id].title} (${id})`).join(", ");
  return [`${category} ${score(lhr, category)}: ${why}`];
}
