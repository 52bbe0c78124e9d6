// The example application, examples/notes: its own pages beside ours, in one router.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { launch, openPage } from "./support/browser.mjs";
import * as steps from "./support/journey.mjs";
import { NOTES, startSite } from "./support/site.mjs";

const on = {};

before(async () => {
  [on.site, on.browser] = await Promise.all([startSite({}, NOTES), launch()]);
});

after(async () => {
  await on.browser?.close();
  await on.site?.stop();
});

for (const script of [true, false]) {
  test(`people see their own notes, with${script ? "" : "out"} scripts`, async () => {
    const page = await openPage(on.browser, { site: on.site, script });
    const [ann, bob] = (script ? ["ann", "bob"] : ["anna", "bobby"]).map(steps.person);

    page.expectRefusal("/favicon.ico", 404);
    await page.goto("/");
    await steps.link(page, "My notes").click();
    await page.waitForURL("/login?next=/notes");
    await steps.link(page, "Create an account").click();
    await page.waitForURL("/register?next=%2Fnotes");
    const { username, email, password } = ann;
    const fields = { Username: username, Email: email, Password: password };
    await steps.send(page, { ...fields, "Confirm password": password }, "Create account");
    await page.waitForURL("/notes");
    await steps.send(page, { "New note": "Buy <moss> & ferns" }, "Add");
    await page.getByRole("listitem").filter({ hasText: "Buy <moss> & ferns" }).waitFor();
    await steps.link(page, ann.username).click();
    await page.waitForURL("/account");
    await steps.logOut(page);
    await page.goto("/notes");
    assert.equal(page.url(), `${on.site.url}/login?next=/notes`);

    await steps.register(page, bob);
    await page.waitForURL("/account");
    await page.goto("/notes");
    await page.getByRole("heading", { name: `Notes of ${bob.username}` }).waitFor();
    assert.equal(await page.getByRole("listitem").count(), 0);
    await steps.button(page, "Log out").click();
    await page.waitForURL("/login");

    await page.goto("/notes");
    await steps.send(page, { "Username or email": username, Password: password }, "Log in");
    await page.waitForURL("/notes");
    assert.equal(await page.getByRole("listitem").count(), 1);
    page.expectRefusal("/nowhere", 404);
    await page.goto("/nowhere");
    await page.getByText("There is no such page.").waitFor();
    assert.deepEqual(page.complaints, []);
    await page.context().close();
  });
}
