// What static/app.js adds to the pages, and that nothing of it is there without scripts.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";

import { launch, openPage } from "./support/browser.mjs";
import { startSite } from "./support/site.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const STRONG = "moss lantern quartz";
const SAME = "Both passwords are the same.";
const DIFFER = "The two passwords differ.";

let browser, site;

before(async () => {
  [browser, site] = await Promise.all([launch(), startSite({ VESTIBULE_LIMIT_REGISTER_IP: "off" })]);
});

after(async () => {
  await browser?.close();
  await site?.stop();
});

/** A test on a page whose clock stands still, and which may complain of nothing. */
function visit(name, path, steps, options) {
  test(name, async (t) => {
    const page = await openPage(browser, options);
    t.after(() => page.context().close());
    await page.clock.install({ time: 0 });
    await page.clock.pauseAt(1000);
    await open(page, path);
    await steps(page);
    assert.deepEqual(page.complaints, []);
  });
}

async function open(page, path) {
  if (path === "/reset") await askForCode(page);
  if (path.startsWith("/account")) await register(page);
  await page.goto(site.url + path);
}

const post = (page, path, form) =>
  page.request.post(site.url + path, { form, headers: { Origin: site.url } });

// Nobody has this account: the pages must not differ.
const askForCode = (page) => post(page, "/forgot", { username: "ann", email: "ann@meadow.example" });

let people = 0;
function register(page) {
  const username = `person${people++}`;
  const form = { username, email: `${username}@meadow.example`, password: STRONG };
  return post(page, "/register", { ...form, password_confirm: STRONG });
}

// Strict: these fail when a label fits two controls.
const field = (page, label) => page.getByLabel(label, { exact: true });
const button = (page, name) => page.getByRole("button", { name, exact: true });
const heard = async (page) => (await page.locator("main [aria-live=polite]").textContent()).trim();
const told = (page, label) => page.locator(".field", { has: field(page, label) }).locator(".told");
const type = (page, label) => field(page, label).getAttribute("type");
const tell = (page, kind) => page.evaluate((kind) => dispatchEvent(new PageTransitionEvent(kind)), kind);

async function axe(page) {
  await page.clock.resume();
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => axe.run());
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html)}`);
}

// ---- show and hide -----------------------------------------------------------------------------

const PASSWORDS = {
  "/login": ["Password"],
  "/register": ["Password", "Password again"],
  "/reset": ["New password", "New password again"],
  "/account/password": ["Current password", "New password", "New password again"],
};

for (const [path, labels] of Object.entries(PASSWORDS)) {
  visit(`each password of ${path} has a button of its own that shows it`, path, async (page) => {
    assert.equal(await page.locator("button[type=button]").count(), labels.length);
    for (const label of labels) {
      const name = label.toLowerCase();
      await field(page, label).fill(STRONG);
      assert.equal(await type(page, label), "password");
      await button(page, `Show ${name}`).click();
      assert.equal(await type(page, label), "text");
      assert.equal(await page.locator("input[type=text]:visible").and(field(page, label)).count(), 1);
      const controls = await button(page, `Hide ${name}`).getAttribute("aria-controls");
      assert.equal(controls, await field(page, label).getAttribute("id"));
      await button(page, `Hide ${name}`).click();
      assert.equal(await type(page, label), "password");
      assert.equal(await field(page, label).inputValue(), STRONG);
    }
  });
}

visit("the button makes no second control of the label", "/login", async (page) => {
  assert.equal(await page.getByLabel("Password").count(), 1);
  await button(page, "Show password").click();
  assert.equal(await page.getByLabel("Password").count(), 1);
});

visit("value, caret and autocomplete stay when a password is shown", "/login", async (page) => {
  const password = field(page, "Password");
  await password.fill(STRONG);
  await password.evaluate((input) => input.setSelectionRange(4, 8));
  for (const name of ["Show password", "Hide password"]) {
    await button(page, name).click();
    await password.focus();
    const caret = await password.evaluate((input) => [input.selectionStart, input.selectionEnd]);
    assert.deepEqual([await password.inputValue(), caret], [STRONG, [4, 8]], name);
    assert.equal(await password.getAttribute("autocomplete"), "current-password");
  }
});

visit("screen readers hear each time whether the password is shown", "/login", async (page) => {
  await page.clock.runFor(1000);
  assert.equal(await heard(page), "", "nothing on arrival");
  for (const [name, words] of [["Show", "shown"], ["Hide", "hidden"], ["Show", "shown"]]) {
    await button(page, `${name} password`).click();
    assert.equal(await heard(page), "");
    await page.clock.runFor(100);
    assert.equal(await heard(page), `Your password is ${words}.`);
  }
});

visit("the keyboard reaches the button after its field, and Enter still sends", "/login", async (page) => {
  await field(page, "Password").focus();
  await page.keyboard.type(STRONG);
  await page.keyboard.press("Tab");
  await page.keyboard.press("Space");
  assert.equal(await type(page, "Password"), "text");
  assert.ok(await button(page, "Hide password").evaluate((it) => it === document.activeElement));
  await page.keyboard.press("Enter");
  assert.equal(await type(page, "Password"), "password");
  await page.keyboard.press("Shift+Tab");
  const sent = page.waitForRequest((request) => request.method() === "POST");
  await page.route("**/login", (route) => route.fulfill({ body: "sent" }));
  await page.keyboard.press("Enter");
  assert.match((await sent).postData(), /password=moss\+lantern\+quartz/);
});

for (const kind of ["pagehide", "pageshow"]) {
  visit(`a shown password is hidden at ${kind}`, "/login", async (page) => {
    await button(page, "Show password").click();
    await tell(page, kind);
    assert.equal(await type(page, "Password"), "password");
    assert.equal(await button(page, "Show password").count(), 1);
  });
}

visit("a shown password is hidden before it is sent", "/register", async (page) => {
  await button(page, "Show password").click();
  await button(page, "Show password again").click();
  // Looks last of all listeners, and keeps the page.
  await page.evaluate(() => addEventListener("submit", (event) => event.preventDefault()));
  await button(page, "Create account").click();
  assert.deepEqual([await type(page, "Password"), await type(page, "Password again")], ["password", "password"]);
});

visit("the button is a thumb high and lies beside the text at 320 px", "/register", async (page) => {
  const label = "Password again";
  await field(page, label).fill(STRONG.repeat(5));
  // The first press may scroll the button into view.
  for (const name of ["Show", "Hide"]) await button(page, `${name} password again`).click();
  const before = await field(page, label).boundingBox();
  await button(page, "Show password again").click();
  const [input, hide] = [await field(page, label).boundingBox(), await button(page, "Hide password again").boundingBox()];
  assert.deepEqual(input, before, "showing moves nothing");
  assert.ok(hide.height >= 44 && hide.width >= 44, JSON.stringify(hide));
  assert.ok(hide.x >= input.x + input.width && Math.abs(hide.y - input.y) < 1, JSON.stringify({ input, hide }));
  assert.ok(input.width > 160, `${input.width} px are left for the text`);
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 320);
}, { width: 320, height: 640 });

// ---- advice on a new password ------------------------------------------------------------------

const ADVICE = [
  ["a", 1, "11 more characters needed."],
  ["moss lanter", 1, "1 more character needed."],
  ["cafe\u0301 cafe\u0301 1", 1, "1 more character needed."], // 11 code points after NFC, 13 before
  ["😀😁😂🤣😃😄", 1, "6 more characters needed."],
  ["m".repeat(129), 1, "1 character too many."],
  ["aaaaaaaaaaaaaaaa", 2, "Easy to guess: it repeats itself."],
  ["xk7xk7xk7xk7", 2, "Easy to guess: it repeats itself."],
  ["abcdefghijkl", 2, "Easy to guess: it contains a run like abcd, 1234 or qwerty."],
  ["987654321098", 2, "Easy to guess: it contains a run like abcd, 1234 or qwerty."],
  ["QWERTYuiop12", 2, "Easy to guess: it contains a run like abcd, 1234 or qwerty."],
  ["xyyxxzyzxxyz", 2, "Easy to guess: it has few different characters."],
  ["annabel12345", 2, "Easy to guess: it contains a name or word that is tried first."],
  ["ANNABELsmeadow", 2, "Easy to guess: it contains a name or word that is tried first."],
  ["brook.street2", 2, "Easy to guess: it contains a name or word that is tried first."],
  ["Vestibule2024", 2, "Easy to guess: it contains a name or word that is tried first."],
  ["Password1958", 2, "Easy to guess: it contains a name or word that is tried first."],
  ["moss lantern", 3, "Long enough so far."],
  ["annabel and the lantern", 4, "Long and varied so far."],
  ["густой туман над рекой", 4, "Long and varied so far."],
  [STRONG, 4, "Long and varied so far."],
];

visit("a new password is rated as it is typed", "/register", async (page) => {
  await field(page, "Username").fill("Annabel");
  await field(page, "E-mail address").fill("brook.street@meadow.example");
  const line = told(page, "Password");
  assert.ok(await line.isHidden(), "nothing while it is empty");
  for (const [password, level, words] of ADVICE) {
    await field(page, "Password").fill(password);
    const found = [await line.getAttribute("data-level"), await line.innerText()];
    assert.deepEqual(found, [`${level}`, words], password);
  }
  await field(page, "Password").fill("");
  assert.ok(await line.isHidden(), "nothing once it is empty again");
  await page.clock.runFor(500);
  assert.equal(await heard(page), "");
});

visit("the username that a page carries along counts as a name", "/reset", async (page) => {
  await field(page, "New password").fill("ann-ann1-ann");
  assert.match(await told(page, "New password").innerText(), /a name or word/);
});

test("the least length is the one that the server asks for", async (t) => {
  const strict = await startSite({ VESTIBULE_PASSWORD_MIN: "15" });
  t.after(() => strict.stop());
  const page = await openPage(browser);
  t.after(() => page.context().close());
  await page.goto(`${strict.url}/register`);
  await field(page, "Password").fill("moss lantern");
  assert.equal(await told(page, "Password").innerText(), "3 more characters needed.");
});

visit("a login is not rated", "/login", async (page) => {
  await field(page, "Password").fill("abc");
  assert.equal(await page.locator(".told").count(), 0);
});

visit("advice is heard after a pause, not at each key", "/register", async (page) => {
  for (const letter of "moss") {
    await field(page, "Password").press(letter);
    await page.clock.runFor(499);
    assert.equal(await heard(page), "");
  }
  assert.equal(await told(page, "Password").innerText(), "8 more characters needed.");
  await page.clock.runFor(1);
  assert.equal(await heard(page), "8 more characters needed.");
});

visit("the second password is compared once it is as long as the first", "/register", async (page) => {
  const line = told(page, "Password again");
  await field(page, "Password").fill(STRONG);
  assert.ok(await line.isHidden());
  await field(page, "Password again").fill("moss lanturn");
  assert.equal(await line.textContent(), "", "it is being typed");
  const room = await button(page, "Create account").boundingBox();
  await field(page, "Password again").fill("moss lanturn quartz");
  assert.equal(await line.innerText(), DIFFER);
  assert.equal(await heard(page), "");
  await page.clock.runFor(500);
  assert.equal(await heard(page), DIFFER);
  await field(page, "Password again").fill(STRONG);
  assert.equal(await line.innerText(), SAME);
  assert.deepEqual(await button(page, "Create account").boundingBox(), room, "no button moves");
  await field(page, "Password").fill(`${STRONG}!`);
  await page.clock.runFor(500);
  assert.equal(await heard(page), `Long and varied so far. ${DIFFER}`);
});

visit("the second password is compared once it was left", "/reset", async (page) => {
  const line = told(page, "New password again");
  await field(page, "New password").fill(STRONG);
  await field(page, "New password again").fill("moss");
  assert.equal(await line.textContent(), "");
  await page.keyboard.press("Tab");
  assert.equal(await line.innerText(), DIFFER);
  await page.clock.runFor(500);
  assert.equal(await heard(page), DIFFER);
  await field(page, "New password again").fill("moss lan");
  assert.equal(await line.innerText(), DIFFER, "it stays until it is mended");
  await field(page, "New password again").fill("");
  assert.ok(await line.isHidden());
});

// ---- sending once ------------------------------------------------------------------------------

/** From here on nothing is sent: it is counted, after all other listeners, and the page stays. */
async function count(page) {
  await page.evaluate(() => {
    window.sent = [];
    addEventListener("submit", (event) => {
      if (!event.defaultPrevented) sent.push(new URL(event.target.action).pathname);
      event.preventDefault();
    });
  });
  return () => page.evaluate(() => sent);
}

const isBusy = async (page, name) => (await button(page, name).getAttribute("aria-busy")) === "true";

visit("a form that is under way is not sent again, for eight seconds", "/login", async (page) => {
  const sent = await count(page);
  const box = await button(page, "Log in").boundingBox();
  await field(page, "Password").fill(STRONG);
  await page.keyboard.press("Enter");
  await page.keyboard.press("Enter");
  await button(page, "Log in").dblclick();
  await page.clock.runFor(7999);
  await button(page, "Log in").click();
  assert.deepEqual(await sent(), ["/login"]);
  assert.ok(await isBusy(page, "Log in"));
  assert.ok(await button(page, "Log in").isEnabled());
  assert.deepEqual(await button(page, "Log in").boundingBox(), box, "no layout shift");
  await page.clock.runFor(1);
  assert.ok(!(await isBusy(page, "Log in")));
  await button(page, "Log in").dblclick();
  assert.ok(await isBusy(page, "Log in"));
  assert.deepEqual(await sent(), ["/login", "/login"]);
});

visit("a form that another listener stops is not under way", "/login", async (page) => {
  const sent = await count(page);
  await page.evaluate(() => {
    const stop = (event) => event.preventDefault();
    document.forms[0].addEventListener("submit", stop, { once: true });
  });
  await button(page, "Log in").click();
  assert.ok(!(await isBusy(page, "Log in")));
  await button(page, "Log in").click();
  assert.ok(await isBusy(page, "Log in"));
  assert.deepEqual(await sent(), ["/login"]);
});

visit("a page from the browser's memory can be sent again", "/login", async (page) => {
  const sent = await count(page);
  await button(page, "Log in").click();
  await page.clock.runFor(1);
  await tell(page, "pageshow");
  assert.ok(!(await isBusy(page, "Log in")));
  await button(page, "Log in").click();
  await page.clock.runFor(7999);
  assert.ok(await isBusy(page, "Log in"), "the time of the first one is over");
  assert.deepEqual(await sent(), ["/login", "/login"]);
});

visit("a form under way does not hold up another", "/reset", async (page) => {
  const sent = await count(page);
  await button(page, "Change password").click();
  await button(page, "Send a new code").click();
  assert.deepEqual(await sent(), ["/reset", "/reset/resend"]);
  assert.deepEqual([await isBusy(page, "Change password"), await isBusy(page, "Send a new code")], [false, true]);
});

// ---- the next code -----------------------------------------------------------------------------

const resendWords = (page) => page.getByText("You can send another code").first().innerText();

async function resend(page) {
  await post(page, "/reset/resend", {});
  await page.reload();
}

visit("the wait for the next code is counted down and its end is heard", "/reset", async (page) => {
  assert.equal(await page.getByText("You can send another code").count(), 0);
  await resend(page);
  assert.match(await resendWords(page), /^You can send another code in (30|29) seconds\.$/);
  const seconds = Number(/\d+/.exec(await resendWords(page))[0]);
  await page.clock.runFor((seconds - 2) * 1000);
  assert.equal(await resendWords(page), "You can send another code in 2 seconds.");
  await page.clock.runFor(1999);
  assert.equal(await resendWords(page), "You can send another code in 1 second.");
  assert.equal(await heard(page), "");
  await page.clock.runFor(1);
  assert.equal(await resendWords(page), "You can send another code now.");
  await page.clock.runFor(100);
  assert.equal(await heard(page), "You can send another code now.");
  await page.clock.runFor(900);
  assert.equal(await heard(page), "You can send another code now.", "said once, not emptied to be said again");
});

visit("a long wait stands as the server has rounded it", "/reset", async (page) => {
  await resend(page);
  await page.route("**/reset", async (route) => {
    const answer = await route.fetch();
    const body = (await answer.text()).replace(/data-wait="\d+">in \d+ seconds/, 'data-wait="120">in 2 minutes');
    await route.fulfill({ response: answer, body });
  });
  await page.reload();
  await page.clock.runFor(29_000);
  assert.equal(await resendWords(page), "You can send another code in 2 minutes.");
  await page.clock.runFor(1000);
  assert.equal(await resendWords(page), "You can send another code in 90 seconds.");
});

visit("a code can be asked for before the wait is over, and is refused in words", "/reset", async (page) => {
  await resend(page);
  await button(page, "Send a new code").click();
  await page.getByRole("status").waitFor();
  assert.match(await page.getByRole("status").innerText(), /^A code was sent a moment ago\./);
  assert.match(await resendWords(page), /^A code was sent a moment ago|^You can send another code in \d+ seconds\.$/);
});

// ---- everywhere --------------------------------------------------------------------------------

for (const scheme of ["light", "dark"]) {
  for (const width of [320, 1280]) {
    const options = { scheme, width };
    visit(`what the script adds is accessible: ${scheme}, ${width} px`, "/reset", async (page) => {
      await resend(page);
      const found = [];
      for (const [first, second] of [["a", "ab"], ["abcdefghijkl", "x".repeat(12)], [STRONG, STRONG]]) {
        await field(page, "New password").fill(first);
        await field(page, "New password again").fill(second);
        await page.clock.runFor(500);
        found.push(...(await axe(page)));
      }
      await button(page, "Show new password").click();
      await count(page);
      await button(page, "Change password").click();
      await page.clock.runFor(100);
      found.push(...(await axe(page)));
      assert.deepEqual(found, []);
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.equal(overflow, 0);
    }, options);
  }
}

visit("nothing moves for those who want no motion", "/login", async (page) => {
  await page.emulateMedia({ reducedMotion: "reduce" });
  await count(page);
  await button(page, "Log in").click();
  const moves = () => document.getAnimations().length;
  assert.equal(await page.evaluate(moves), 0);
  await page.emulateMedia({ reducedMotion: "no-preference" });
  assert.equal(await page.evaluate(moves), 1);
});

visit("the bar has the text's colour in forced colours", "/register", async (page) => {
  await page.emulateMedia({ forcedColors: "active" });
  await field(page, "Password").fill("moss lantern");
  const [adjust, bar, text] = await page.evaluate(() => {
    const line = document.querySelector(".told");
    const { forcedColorAdjust, backgroundImage } = getComputedStyle(line, "::before");
    return [forcedColorAdjust, backgroundImage, getComputedStyle(line).color];
  });
  assert.equal(adjust, "none");
  assert.ok(bar.startsWith(`linear-gradient(to right, ${text} 75%, rgb(`), bar);
});

visit("the script leaves no name behind", "/login", async (page) => {
  for (const name of ["make", "announce", "addReveal", "sendOnce"]) {
    assert.equal(await page.evaluate(`typeof ${name}`), "undefined");
  }
});

// Not the mailbox: playwright puts the clock into its frame too, where no script may run.
for (const path of ["/forgot", "/account", "/logout"]) {
  visit(`a page without passwords has nothing to complain of: ${path}`, path, async (page) => {
    assert.equal(await page.locator("button[type=button]").count(), 0);
    assert.equal(await page.locator(".told").count(), 0);
  });
}

for (const [path, labels] of Object.entries(PASSWORDS)) {
  test(`without scripts nothing of it is there: ${path}`, async (t) => {
    const page = await openPage(browser, { script: false });
    t.after(() => page.context().close());
    await open(page, path);
    for (const label of labels) await field(page, label).fill("abc");
    assert.equal(await page.locator("button:not([type=submit]), .told, [aria-live]").count(), 0);
    if (path === "/reset") {
      await button(page, "Send a new code").click();
      await page.getByRole("status").waitFor();
      assert.match(await resendWords(page), /^You can send another code in (30|29) seconds\.$/);
    }
    assert.deepEqual(page.complaints, []);
  });
}
