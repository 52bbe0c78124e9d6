// A site and a browser for all tests of a file.

import { after, before } from "node:test";

import { launch } from "./browser.mjs";
import { startSite } from "./site.mjs";

/** Starts both before the file's first test and ends them after its last; filled in between. */
export function siteAndBrowser(settings) {
  const on = {};
  before(async () => {
    [on.site, on.browser] = await Promise.all([startSite(settings), launch()]);
  });
  after(async () => {
    await on.browser?.close();
    await on.site?.stop();
  });
  return on;
}
