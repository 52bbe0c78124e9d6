// What a first visit costs: bytes as they are served, and requests.

import assert from "node:assert/strict";
import { get } from "node:http";
import { after, test } from "node:test";

import { openPage } from "./support/browser.mjs";
import { siteAndBrowser } from "./support/hooks.mjs";
import * as steps from "./support/journey.mjs";
import { report, table } from "./support/reports.mjs";

/** Bytes of HTML and style sheet, both compressed: they come in the first round trip or two. */
const HEAVIEST = 10_000;
const MOST_REQUESTS = 4;

const FINGERPRINTED = /^\/_vestibule\/[a-z]+\.[0-9a-f]{8,}\.(css|js)$/;

const ANONYMOUS = ["/login", "/login/code", "/register", "/forgot", "/logout", "/nowhere", "/dev/mailbox"];
const LOGGED_IN = [
  "/account",
  "/account/password",
  "/account/email",
  "/account/username",
  "/account/sessions",
  "/account/history",
  "/account/delete",
  "/verify",
];

const rows = [];
const on = siteAndBrowser({ VESTIBULE_LOGIN_CODE: "on" });

after(() => {
  if (rows.length) report("weight", table([["page", "HTML", "CSS", "script", "requests"], ...rows]));
});

for (const path of ANONYMOUS) test(path, () => weigh(path, async () => {}));

for (const path of LOGGED_IN) {
  const who = steps.person(`heavy${path.replaceAll("/", "-")}`);
  test(path, () =>
    weigh(path, async (page) => {
      await steps.register(page, who);
      await page.waitForURL("/account");
    }));
}

test("/reset", () =>
  weigh("/reset", async (page) => {
    await steps.askForCode(page, steps.person("forgetful"));
    await page.waitForURL("/reset");
  }));

/** Opens `path` with the cookies that `prepare` has left and nothing in the cache. */
async function weigh(path, prepare) {
  const page = await openPage(on.browser, { site: on.site });
  await prepare(page);
  const cookies = await page.context().cookies();
  await page.context().close();
  const requests = await coldLoad(path, cookies);
  const cookie = cookies.map(({ name, value }) => `${name}=${value}`).join("; ");

  const sizes = { html: 0, css: 0, js: 0 };
  for (const url of requests) {
    const kind = /\.(css|js|svg|ico)$/.exec(url.pathname)?.[1] ?? "html";
    const [plain, gzip, brotli] = await codings(url, cookie);
    // The icon has 222 bytes: too few to gain anything.
    const isSmaller = brotli.bytes < plain.bytes && gzip.bytes < plain.bytes;
    assert.ok(isSmaller || kind === "svg", url.pathname);
    if (kind === "css" || kind === "js") {
      assert.match(url.pathname, FINGERPRINTED);
      assert.match(brotli.headers["cache-control"], /max-age=31536000\b.*\bimmutable/);
    }
    sizes[kind] = (sizes[kind] ?? 0) + brotli.bytes;
  }
  rows.push([path, sizes.html, sizes.css, sizes.js, requests.length]);
  assert.ok(sizes.html > 0 && sizes.css > 0, `${Object.entries(sizes)}`);
  assert.ok(sizes.html + sizes.css < HEAVIEST, `${sizes.html} + ${sizes.css} bytes`);
  assert.ok(requests.length <= MOST_REQUESTS, `${requests}`);
}

/** The addresses that a browser asks for, the tab's icon among them. */
async function coldLoad(path, cookies) {
  const page = await openPage(on.browser, { site: on.site });
  await page.context().addCookies(cookies);
  const asked = [];
  page.on("request", (request) => asked.push(request.url()));
  await page.goto(path, { waitUntil: "networkidle" });
  assert.equal(new URL(page.url()).pathname, path);
  const icon = await page.locator("link[rel=icon]").evaluate((link) => link.href);
  await page.context().close();
  // A browser without tabs may leave out the icon, and those of people do not.
  return [...new Set([...asked, icon])].map((url) => new URL(url));
}

/** The answer as it is, with gzip and with brotli. */
function codings(url, cookie) {
  return Promise.all(["identity", "gzip", "br"].map((coding) => fetchRaw(url, cookie, coding)));
}

function fetchRaw(url, cookie, coding) {
  const headers = { cookie, "accept-encoding": coding };
  return new Promise((resolve, reject) => {
    const request = get(url, { headers }, (answer) => {
      let bytes = 0;
      answer.on("data", (chunk) => (bytes += chunk.length));
      answer.once("error", reject);
      answer.once("end", () => {
        const took = answer.headers["content-encoding"] ?? "identity";
        if (took === coding) resolve({ bytes, headers: answer.headers });
        else reject(new Error(`${url.pathname} comes as ${took}, not ${coding}`));
      });
    });
    request.once("error", reject);
  });
}
