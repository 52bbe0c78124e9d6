// The HTML of every mail, in light and dark, narrow and wide.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";

import { axe } from "./support/axe.mjs";
import { launch, openPage } from "./support/browser.mjs";
import { KINDS, receiveApproval, receiveLimited, receiveMails } from "./support/mails.mjs";
import { SITES } from "./support/pages.mjs";
import { screenshotPath } from "./support/reports.mjs";
import { startSite } from "./support/site.mjs";

const WIDTHS = [320, 1280];
const SCHEMES = ["light", "dark"];
const LOOK = readFileSync(new URL("support/look.js", import.meta.url), "utf8");

/**
 * A mail is shown inside a page of the mail program, which has the landmarks. And axe guesses by the
 * size of its letters that a paragraph is a heading: the site's name and the code head nothing.
 */
const LEFT_OUT = ["landmark-one-main", "region", "p-as-heading"];

/** Gmail cuts off what is longer than 102 KB. No mail of ours needs a tenth of that. */
const HEAVIEST = 10_000;

const ALL_NOTICES = {
  VESTIBULE_MAIL_NOTICES:
    "registered,login,new_device,password_changed,username_changed,email_changed,login_limited,login_stopped,account_deleted",
  VESTIBULE_LOGIN_CODE: "on",
  VESTIBULE_LIMIT_LOGIN_ACCOUNT: "1000/15m",
};

const sites = {};
const mails = {};
let browser;

before(async () => {
  browser = await launch();
  for (const name of ["open", "branded"]) {
    sites[name] = await startSite({ ...SITES[name], ...ALL_NOTICES });
    mails[name] = await receiveMails(browser, sites[name]);
    const strict = await startSite({ ...SITES[name], VESTIBULE_LIMIT_LOGIN_ACCOUNT: "1/15m" });
    mails[name].login_limited = await receiveLimited(browser, strict);
    await strict.stop();
    const approval = await startSite({ ...SITES[name], VESTIBULE_REGISTRATION: "approval" });
    Object.assign(mails[name], await receiveApproval(browser, approval));
    await approval.stop();
  }
});

after(async () => {
  await browser?.close();
  await Promise.all(Object.values(sites).map((site) => site.stop()));
});

for (const site of ["open", "branded"]) {
  for (const kind of KINDS) {
    test(`${kind}, ${site} site`, async (t) => {
      const page = await openPage(browser, { site: sites[site] });
      t.after(() => page.context().close());
      const asked = [];
      page.on("request", (request) => asked.push(request.url()));
      assert.ok(mails[site][kind].length < HEAVIEST, `${mails[site][kind].length} bytes`);
      await page.setContent(mails[site][kind]);
      await page.evaluate(LOOK);
      const found = [];
      for (const width of WIDTHS) {
        await page.setViewportSize({ width, height: 800 });
        for (const colorScheme of SCHEMES) {
          await page.emulateMedia({ colorScheme });
          const path = screenshotPath(`mail-${site}-${kind}-${width}-${colorScheme}`);
          await page.screenshot({ path, fullPage: true });
          const room = await page.evaluate(() => look.room());
          const here = [...(await axe(page, { without: LEFT_OUT })), ...room];
          found.push(...here.map((complaint) => `${width} px, ${colorScheme}: ${complaint}`));
        }
      }
      assert.deepEqual([...found, ...page.complaints], []);
      assert.deepEqual(asked, [], "a mail loads nothing");
    });
  }
}
