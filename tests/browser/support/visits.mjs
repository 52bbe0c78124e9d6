// Visits to pages with static/app.js, whose clock stands still, and what it adds to them.

import assert from "node:assert/strict";
import { test } from "node:test";

import { openPage } from "./browser.mjs";
import { siteAndBrowser } from "./hooks.mjs";
import { askForCode, button, field, person, register } from "./journey.mjs";

export const STRONG = "moss lantern quartz";

/** The pages with passwords, and their labels. */
export const PASSWORDS = {
  "/login": ["Password"],
  "/register": ["Password", "Confirm password"],
  "/reset": ["New password", "Confirm password"],
  "/account/password": ["Current password", "New password", "Confirm password"],
};

/** The lines below new passwords: hidden until the field is filled. */
export const ADVICE = "main .advice";

/**
 * Starts a site with these settings and a browser for the tests of a file. The answer adds a test on
 * a page, which may complain of nothing; its `options` go to `openPage`.
 */
export function visits(settings) {
  const on = siteAndBrowser(settings);
  let people = 0;

  async function prepare(page, path) {
    if (path === "/reset") {
      // Nobody has this account: the pages must not differ.
      await askForCode(page, person("ann"));
      await page.waitForURL("/reset");
    }
    if (path.startsWith("/account")) {
      await register(page, person(`person${people++}`));
      await page.waitForURL("/account");
    }
  }

  return (name, path, steps, options = {}) => {
    test(name, async (t) => {
      const page = await openPage(on.browser, { site: on.site, ...options });
      t.after(() => page.context().close());
      await prepare(page, path);
      if (options.script ?? true) {
        await page.clock.install({ time: 0 });
        await page.clock.pauseAt(1000);
      }
      await page.goto(path);
      await steps(page);
      assert.deepEqual(page.complaints, []);
    });
  };
}

/** What screen readers were told last. */
export async function heard(page) {
  return (await page.locator("main [aria-live=polite]").textContent()).trim();
}

/** The line below the new password with this label. */
export function advice(page, label) {
  return field(page, label).locator("..").locator(".advice");
}

export async function isBusy(page, name) {
  return (await button(page, name).getAttribute("aria-busy")) === "true";
}

/** Makes the window believe that the page is left, or comes back from the browser's memory. */
export function tell(page, kind) {
  return page.evaluate((kind) => dispatchEvent(new PageTransitionEvent(kind)), kind);
}

/** From here on nothing is sent: it is counted, after all other listeners, and the page stays. */
export async function count(page) {
  await page.evaluate(() => {
    window.sent = [];
    window.fetch = (url) => {
      sent.push(new URL(url).pathname);
      return new Promise(() => {});
    };
    addEventListener("submit", (event) => {
      if (!event.defaultPrevented) sent.push(new URL(event.target.action).pathname);
      event.preventDefault();
    });
  });
  return () => page.evaluate(() => sent);
}

/** When the next code can be sent, as the page words it. */
export function resendWords(page) {
  return page.getByText("You can request another code").first().innerText();
}
