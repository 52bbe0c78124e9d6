// Chromium, and pages that note everything that a visitor's browser could complain about.

import { chromium } from "playwright-core";

/** The browser: Debian's, or the one that CHROMIUM names. */
export const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";

/** No sandbox, for CI runs as root: it opens our own pages alone. The rest keeps it quiet. */
export const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

export function launch() {
  return chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
}

/**
 * A page in a context of its own, with no cookies. `site` is what paths are relative to and what no
 * request may leave; without it, the first page that is opened says it. What else is given goes to
 * Playwright's `newContext`.
 *
 * `page.complaints` are all console messages (a breach of the CSP is one), errors of scripts, failed
 * requests and requests to elsewhere, from every tab of the context. `page.expectRefusal("/login",
 * 422)` lets one answer of this status from this path pass, which Chromium reports on the console.
 * `page.served` is the answer that brought the page on show: a document, or what the script shows in its place.
 */
export async function openPage(
  browser,
  { site, width = 1280, height = 800, scheme = "light", script = true, ...rest } = {},
) {
  const context = await browser.newContext({
    baseURL: site?.url,
    viewport: { width, height },
    colorScheme: scheme,
    javaScriptEnabled: script,
    ...rest,
  });
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  for (const arrive of ["goto", "waitForURL"]) {
    const original = page[arrive].bind(page);
    page[arrive] = async (...args) => {
      const answer = await original(...args);
      await autofocused(page);
      return answer;
    };
  }
  page.complaints = [];
  page.expectRefusal = watch(context, page.complaints, site?.url);
  page.on("response", (response) => {
    const request = response.request();
    const isDocument = request.isNavigationRequest() && request.frame() === page.mainFrame();
    if ((isDocument || isFetched(request)) && !isRedirect(response)) page.served = response;
  });
  return page;
}

/**
 * Waits until the page has moved the focus to its `autofocus` element. The browser does so with the
 * first frame, after `load`. Input before that frame makes Chromium report a blocked autofocus.
 * An address with a fragment gets no autofocus.
 */
export async function autofocused(page) {
  if (new URL(page.url()).hash) return;
  await page.locator("html:has([autofocus]):not(:has(:focus))").waitFor({ state: "detached" });
}

/** A form that the page's script has sent. */
export function isFetched(request) {
  return request.headers()["x-requested-with"] === "fetch";
}

/** To a script they come as 200. */
function isRedirect(response) {
  return (response.status() >= 300 && response.status() < 400) || "location" in response.headers();
}

function watch(context, complaints, site) {
  let own = site;
  const expected = [];
  context.on("console", (message) => {
    const refusal = `${message.text()} ${message.location().url}`;
    const at = expected.findIndex((matches) => matches(refusal));
    if (at >= 0) expected.splice(at, 1);
    else complaints.push(`console ${message.type()}: ${message.text()} (${message.location().url})`);
  });
  context.on("weberror", (error) => complaints.push(`script: ${error.error()}`));
  context.on("request", (request) => {
    own ??= new URL(request.url()).origin;
    if (new URL(request.url()).origin !== own) complaints.push(`elsewhere: ${request.url()}`);
  });
  context.on("requestfailed", (request) => {
    const why = request.failure()?.errorText;
    // Who goes on before the tab's icon has come makes Chromium stop loading it. A site's own logo is
    // its icon too.
    const isIcon = /\/(favicon|logo)\.[^/]*$/.test(new URL(request.url()).pathname);
    if (!(isIcon && why === "net::ERR_ABORTED")) complaints.push(`failed: ${request.url()} ${why}`);
  });
  return (path, status) => {
    const words = `Failed to load resource: the server responded with a status of ${status} (`;
    expected.push((refusal) => refusal.startsWith(words) && refusal.endsWith(`) ${own}${path}`));
  };
}
