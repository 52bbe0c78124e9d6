// Every page of the contract, in every state that people can meet it in, and the way there. Left out
// is a code that expired or is gone, which takes a minute at least.
//
// `of` is the page that a state belongs to: states of one page share its title. `site` is the site
// that it needs, one of SITES. `open` leads there, by the page's own links and buttons where it can.

import { fileURLToPath } from "node:url";

import { brokenDatabase, stalledForm, tooBusy } from "./faults.mjs";
import * as steps from "./journey.mjs";

/** The settings of the sites, by name. */
export const SITES = {
  open: {},
  strict: { VESTIBULE_LIMIT_LOGIN_ACCOUNT: "1/1h", VESTIBULE_LIMIT_RESET_CODE: "1" },
  // A hash that takes some seconds, and one place to wait for it.
  busy: {
    VESTIBULE_HASH_MEMORY_KIB: "262144",
    VESTIBULE_HASH_ITERATIONS: "64",
    VESTIBULE_HASH_THREADS: "1",
    VESTIBULE_HASH_QUEUE: "1",
  },
  quiet: {},
  coded: { VESTIBULE_LOGIN_CODE: "on" },
  verified: { VESTIBULE_REGISTRATION: "verified" },
  approval: { VESTIBULE_REGISTRATION: "approval" },
  broken: {},
  closed: { VESTIBULE_REGISTRATION: "closed" },
  invite: {
    VESTIBULE_REGISTRATION: "invite",
    VESTIBULE_REGISTRATION_DOMAINS: "meadow.example",
    VESTIBULE_TERMS_URL: "/terms",
  },
  // The longest name there may be, a wide logo and another colour.
  branded: {
    VESTIBULE_SITE_NAME: "The Riverside and Meadow Valley Lending Library Co-operative",
    VESTIBULE_ACCENT: "#8a2be2",
    VESTIBULE_LOGO: file("logo.svg"),
  },
  // A logo that is the name, one for each scheme.
  wordmark: {
    VESTIBULE_SITE_NAME: "Orev",
    VESTIBULE_LOGO: file("wordmark.svg"),
    VESTIBULE_LOGO_DARK: file("wordmark-dark.svg"),
    VESTIBULE_SHOW_NAME: "no",
  },
};

function file(name) {
  return fileURLToPath(new URL(name, import.meta.url));
}

const SECOND_PASSWORD = "velvet anchor pudding";
const WRONG_CODE = "CCCC-CCCC";

/** Fields that a page has to refuse, all of them. */
const BAD_REGISTRATION = {
  Username: "x y",
  "Email": "nobody",
  Password: "short",
  "Confirm password": "other",
};

function register(name) {
  return async (page) => {
    const who = steps.person(name);
    await steps.register(page, who);
    await page.waitForURL("/account");
    return who;
  };
}

function ask(name) {
  return async (page) => {
    const who = await register(name)(page);
    await steps.logOut(page);
    await steps.askForCode(page, who);
    await page.waitForURL("/reset");
    return who;
  };
}

function askForEmail(name) {
  return async (page) => {
    await register(name)(page);
    await page.goto("/account/email");
    await steps.send(page, { "New email": `${name}@garden.example` }, "Email me a code");
    await page.waitForURL("/account/email/confirm");
  };
}

/** Where accounts are made by a code. */
function confirm(name, email = `${name}@meadow.example`) {
  return async (page) => {
    const who = { ...steps.person(name), email };
    await steps.register(page, who);
    await page.waitForURL("/register/confirm");
    return who;
  };
}

/** On that page: the code from the email. */
async function sendCode(page) {
  return steps.send(page, { Code: await steps.readCode(page) }, "Create account");
}

/** The page that confirms the address of a new account, where its code has come with the welcome. */
function verify(name) {
  return async (page) => {
    await register(name)(page);
    await steps.link(page, "Confirm your email").click();
    await page.waitForURL("/verify");
  };
}

/** In a site that takes one wrong password: the link in the email about it. */
function unlock(name) {
  return async (page) => {
    const who = await register(name)(page);
    await steps.confirmEmail(page);
    await steps.logOut(page);
    // Here the account is known, and has attempts of its own.
    await page.context().clearCookies();
    await steps.refused(page, "/login", 422, () => steps.logIn(page, { ...who, password: "wrong" }));
    await page.goto(await steps.readLink(page, who, "/unlock/"));
  };
}

function missing(path, status) {
  return (page) => steps.refused(page, path, status, () => page.goto(path));
}

/** A form from another origin. */
async function crossSite(page, { url }) {
  await page.setContent(`<form method="post" action="${url}/login"><button>Log in</button></form>`);
  await steps.refused(page, "/login", 403, () => steps.button(page, "Log in").click());
}

/** The login form, bent into something that it never sends. */
function bent(status, bend) {
  return async (page) => {
    await page.goto("/login");
    await page.evaluate(bend);
    await steps.refused(page, "/login", status, () => steps.button(page, "Log in").click());
  };
}

/** Logs out elsewhere, and leaves the cookie where it is. */
async function endSession(page) {
  const context = page.context();
  const cookies = await context.cookies();
  const headers = { "Sec-Fetch-Site": "same-origin" };
  await page.request.post("/logout", { headers, maxRedirects: 0 });
  await context.clearCookies();
  await context.addCookies(cookies);
}

/** Asks for a code, and types another. */
async function guessWrong(page, stem) {
  await ask(stem)(page);
  await steps.refused(page, "/reset", 422, () => steps.reset(page, WRONG_CODE, SECOND_PASSWORD));
}

/** The form to register that an invitation leads to. */
function followInvitation(name) {
  return async (page, site) => {
    const who = steps.person(name);
    site.invite(who.email);
    const mailbox = await page.request.get("/dev/mailbox.json");
    const mail = (await mailbox.json()).find(({ to }) => to === who.email);
    await page.goto(/\/register\?invite=[\w-]+/.exec(mail.text)[0]);
  };
}

async function badRegistration(page) {
  await page.goto("/register");
  const send = () => steps.send(page, BAD_REGISTRATION, "Create account");
  await steps.refused(page, "/register", 422, send);
}

export const PAGES = [
  { name: "login", of: "login", open: (page) => page.goto("/login") },
  { name: "login-next", of: "login", open: (page) => page.goto("/login?next=/account") },
  {
    name: "login-empty",
    of: "login",
    status: 422,
    open: async (page) => {
      await page.goto("/login");
      await steps.refused(page, "/login", 422, () => steps.button(page, "Log in").click());
    },
  },
  {
    name: "login-refused",
    of: "login",
    status: 422,
    open: (page) => steps.refused(page, "/login", 422, () => steps.logIn(page, steps.person("nobody"))),
  },
  {
    name: "login-taken",
    of: "login",
    open: async (page) => {
      const who = await register("taken")(page);
      await steps.logOut(page);
      // Sent twice, the same form is answered like the first.
      await steps.register(page, { ...who, email: "another@meadow.example" });
      await page.waitForURL("/login");
    },
  },
  {
    name: "login-logged-out",
    of: "login",
    open: async (page) => {
      await register("goer")(page);
      await steps.logOut(page);
    },
  },
  {
    name: "login-after-reset",
    of: "login",
    open: async (page) => {
      await ask("forgetful")(page);
      await steps.reset(page, await steps.readCode(page), SECOND_PASSWORD);
      await page.waitForURL("/login");
    },
  },
  {
    name: "login-session-ended",
    of: "login",
    open: async (page) => {
      await register("sleeper")(page);
      await page.goto("/account/password");
      await endSession(page);
      await steps.button(page, "Change password").click();
      await page.waitForURL("/login?next=/account/password");
      await page.getByText("You were logged out").waitFor();
    },
  },
  { name: "register", of: "register", open: (page) => page.goto("/register") },
  {
    name: "register-empty",
    of: "register",
    status: 422,
    open: async (page) => {
      await page.goto("/register");
      await steps.refused(page, "/register", 422, () => steps.button(page, "Create account").click());
    },
  },
  {
    name: "register-refused",
    of: "register",
    status: 422,
    open: badRegistration,
  },
  { name: "register-closed", of: "register-closed", site: "closed", open: (page) => page.goto("/register") },
  { name: "login-closed", of: "login", site: "closed", open: (page) => page.goto("/login") },
  { name: "register-uninvited", of: "register-uninvited", site: "invite", open: (page) => page.goto("/register") },
  { name: "register-invited", of: "register", site: "invite", open: followInvitation("invited") },
  {
    name: "register-invited-refused",
    of: "register",
    site: "invite",
    status: 422,
    open: async (page, site) => {
      await followInvitation("hasty")(page, site);
      await steps.refused(page, "/register", 422, () => steps.button(page, "Create account").click());
    },
  },
  {
    name: "register-dead-invitation",
    of: "register-dead-invitation",
    site: "invite",
    status: 404,
    open: missing("/register?invite=AAAAAAAAAAAAAAAAAAAAAA", 404),
  },
  { name: "register-code", of: "register-code", site: "verified", open: confirm("candidate") },
  {
    name: "register-code-wrong",
    of: "register-code",
    site: "verified",
    status: 422,
    open: async (page) => {
      await confirm("guesser")(page);
      const send = () => steps.send(page, { Code: WRONG_CODE }, "Create account");
      await steps.refused(page, "/register/confirm", 422, send);
    },
  },
  {
    name: "register-username-taken",
    of: "register-code",
    site: "verified",
    status: 422,
    open: async (page) => {
      await confirm("twin")(page);
      await sendCode(page);
      await page.waitForURL("/account");
      await steps.logOut(page);
      await confirm("twin", "other.twin@meadow.example")(page);
      const code = await steps.readCode(page);
      const send = () => steps.send(page, { Code: code }, "Create account");
      await steps.refused(page, "/register/confirm", 422, send);
    },
  },
  {
    name: "register-username-missing",
    of: "register",
    site: "verified",
    open: async (page) => {
      await confirm("double")(page);
      await sendCode(page);
      await page.waitForURL("/account");
      await steps.logOut(page);
      await confirm("double", "other.double@meadow.example")(page);
      const code = await steps.readCode(page);
      const send = () => steps.send(page, { Code: code }, "Create account");
      await steps.refused(page, "/register/confirm", 422, send);
      await page.goto("/register");
    },
  },
  {
    name: "register-code-logged-in",
    of: "register-code",
    site: "verified",
    open: async (page) => {
      const who = await confirm("first.of-two")(page);
      await sendCode(page);
      await page.waitForURL("/account");
      await steps.logOut(page);
      await confirm("second.of-two")(page);
      await steps.logIn(page, who);
      await page.waitForURL("/account");
      await page.goto("/register/confirm");
    },
  },
  {
    name: "login-awaits-approval",
    of: "login",
    site: "approval",
    open: async (page) => {
      await confirm("patient")(page);
      await sendCode(page);
      await page.waitForURL("/login");
    },
  },
  {
    name: "login-not-approved",
    of: "login",
    site: "approval",
    status: 422,
    open: async (page) => {
      const who = await confirm("impatient")(page);
      await sendCode(page);
      await page.waitForURL("/login");
      await steps.refused(page, "/login", 422, () => steps.logIn(page, who));
    },
  },
  { name: "account-new", of: "account", open: register("newcomer") },
  {
    name: "account",
    of: "account",
    open: async (page) => {
      await register("resident.with-a-very-long.name")(page);
      await page.goto("/account");
    },
  },
  {
    name: "sessions",
    of: "sessions",
    open: async (page, site) => {
      const who = await register("traveller")(page);
      // Another session, with cookies of its own.
      const body = new URLSearchParams({ username: who.username, password: who.password });
      const headers = { "Sec-Fetch-Site": "same-origin" };
      await fetch(`${site.url}/login`, { method: "POST", body, headers, redirect: "manual" });
      await page.goto("/account/sessions");
      await steps.button(page, "Log out everywhere else").waitFor();
    },
  },
  {
    name: "history",
    of: "history",
    open: async (page) => {
      await register("historian")(page);
      await page.goto("/account/history");
    },
  },
  {
    name: "delete",
    of: "delete",
    open: async (page) => {
      await register("leaver")(page);
      await page.goto("/account");
      await steps.link(page, "Delete your account").click();
      await page.waitForURL("/account/delete");
    },
  },
  {
    name: "delete-refused",
    of: "delete",
    status: 422,
    open: async (page) => {
      await register("undecided")(page);
      await page.goto("/account/delete");
      const send = () => steps.send(page, { Username: "x" }, "Delete account");
      await steps.refused(page, "/account/delete", 422, send);
    },
  },
  {
    name: "password",
    of: "password",
    open: async (page) => {
      await register("changer")(page);
      await page.goto("/account/password");
    },
  },
  {
    name: "password-refused",
    of: "password",
    status: 422,
    open: async (page) => {
      await register("mistaken")(page);
      const send = () => steps.changePassword(page, "not the one", "short");
      await steps.refused(page, "/account/password", 422, send);
    },
  },
  {
    name: "account-password-changed",
    of: "account",
    open: async (page) => {
      const who = await register("changed")(page);
      await steps.changePassword(page, who.password, SECOND_PASSWORD);
      await page.waitForURL("/account");
    },
  },
  {
    name: "username",
    of: "username",
    open: async (page) => {
      await register("renamer")(page);
      await page.goto("/account/username");
    },
  },
  {
    name: "username-refused",
    of: "username",
    status: 422,
    open: async (page) => {
      await register("misnamed")(page);
      await page.goto("/account/username");
      const send = () => steps.send(page, { "New username": "x y" }, "Change username");
      await steps.refused(page, "/account/username", 422, send);
    },
  },
  {
    name: "email",
    of: "email",
    open: async (page) => {
      await register("mover")(page);
      await page.goto("/account/email");
    },
  },
  { name: "email-code", of: "email-code", open: askForEmail("moving") },
  {
    name: "email-code-wrong",
    of: "email-code",
    status: 422,
    open: async (page) => {
      await askForEmail("mistyper")(page);
      const send = () => steps.send(page, { Code: WRONG_CODE }, "Change email");
      await steps.refused(page, "/account/email/confirm", 422, send);
    },
  },
  { name: "verify", of: "verify", open: verify("confirmer") },
  {
    name: "verify-wrong",
    of: "verify",
    status: 422,
    open: async (page) => {
      await verify("confuser")(page);
      const send = () => steps.send(page, { Code: WRONG_CODE }, "Confirm email");
      await steps.refused(page, "/verify", 422, send);
    },
  },
  {
    name: "verify-first",
    of: "verify",
    open: async (page) => {
      const who = await register("latecomer")(page);
      await steps.logOut(page);
      await steps.logIn(page, who);
      await page.waitForURL("/account");
      await page.goto("/verify");
      await steps.button(page, "Email me a code").waitFor();
    },
  },
  {
    name: "account-confirmed",
    of: "account",
    open: async (page) => {
      await verify("confirmed")(page);
      await steps.send(page, { Code: await steps.readCode(page) }, "Confirm email");
      await page.waitForURL("/account");
    },
  },
  {
    name: "not-me",
    of: "not-me",
    open: async (page) => {
      const who = await register("burgled")(page);
      await page.goto(await steps.readLink(page, who, "/not-me/"));
    },
  },
  { name: "unlock", of: "unlock", site: "strict", open: unlock("locked") },
  {
    name: "login-unlocked",
    of: "login",
    site: "strict",
    open: async (page) => {
      await unlock("unlocked")(page);
      await steps.button(page, "Let me log in here").click();
      await page.waitForURL("/login");
    },
  },
  {
    name: "dead-link",
    of: "dead-link",
    status: 404,
    open: missing("/not-me/AAAAAAAAAAAAAAAAAAAAAA", 404),
  },
  {
    name: "forgot-not-me",
    of: "forgot",
    open: async (page) => {
      const who = await register("robbed")(page);
      await page.goto(await steps.readLink(page, who, "/not-me/"));
      await steps.button(page, "This wasn't me").click();
      await page.waitForURL("/forgot");
    },
  },
  { name: "login-code", of: "login-code", site: "coded", open: (page) => page.goto("/login/code") },
  {
    name: "login-code-entry",
    of: "login-code-entry",
    site: "coded",
    open: async (page) => {
      await page.goto("/login/code");
      await steps.send(page, { "Username or email": "anybody" }, "Email me a code");
      await page.waitForURL("/login/code/confirm");
    },
  },
  {
    name: "login-code-wrong",
    of: "login-code-entry",
    site: "coded",
    status: 422,
    open: async (page) => {
      await page.goto("/login/code");
      await steps.send(page, { "Username or email": "somebody" }, "Email me a code");
      await page.waitForURL("/login/code/confirm");
      const send = () => steps.send(page, { Code: WRONG_CODE }, "Log in");
      await steps.refused(page, "/login/code/confirm", 422, send);
    },
  },
  {
    name: "logout",
    of: "logout",
    open: async (page) => {
      await register("hesitant")(page);
      await page.goto("/logout");
    },
  },
  { name: "forgot", of: "forgot", open: (page) => page.goto("/forgot") },
  {
    name: "forgot-refused",
    of: "forgot",
    status: 422,
    open: (page) =>
      steps.refused(page, "/forgot", 422, () => steps.askForCode(page, { username: "", email: "x" })),
  },
  {
    name: "forgot-has-code",
    of: "forgot",
    open: async (page) => {
      await ask("returner")(page);
      await page.goto("/forgot");
      await steps.link(page, "I have a code").waitFor();
    },
  },
  { name: "reset", of: "reset", open: ask("asker") },
  {
    name: "reset-asked-again",
    of: "reset",
    open: async (page) => {
      const who = await ask("repeater")(page);
      await steps.askForCode(page, who);
      await page.waitForURL("/reset");
    },
  },
  {
    name: "reset-refused",
    of: "reset",
    status: 422,
    open: async (page) => {
      await ask("careless")(page);
      await steps.refused(page, "/reset", 422, () => steps.reset(page, "12", "short"));
    },
  },
  {
    name: "reset-wrong-code",
    of: "reset",
    status: 422,
    open: (page) => guessWrong(page, "guesser"),
  },
  {
    name: "reset-last-try",
    of: "reset",
    status: 422,
    site: "strict",
    open: (page) => guessWrong(page, "gambler"),
  },
  {
    name: "reset-too-many-tries",
    of: "reset",
    status: 422,
    site: "strict",
    open: async (page) => {
      await ask("stubborn")(page);
      const guess = () => steps.reset(page, WRONG_CODE, SECOND_PASSWORD);
      await steps.refused(page, "/reset", 422, guess);
      await steps.refused(page, "/reset", 422, guess);
      await steps.summary(page).getByText("no attempts left").waitFor();
    },
  },
  {
    name: "reset-resent",
    of: "reset",
    open: async (page) => {
      await ask("waiter")(page);
      await steps.resend(page);
    },
  },
  {
    name: "reset-resent-too-early",
    of: "reset",
    open: async (page) => {
      await ask("impatient")(page);
      await steps.resend(page);
      // By request: the page may have put its button away until it is time.
      const headers = { "Sec-Fetch-Site": "same-origin" };
      await page.request.post("/reset/resend", { headers, maxRedirects: 0 });
      await page.goto("/reset");
      await page.getByText("before requesting another code").waitFor();
    },
  },
  { name: "mailbox-empty", of: "mailbox", site: "quiet", open: (page) => page.goto("/dev/mailbox") },
  {
    name: "mailbox",
    of: "mailbox",
    site: "quiet",
    open: async (page) => {
      await ask("reader")(page);
      await page.goto("/dev/mailbox");
    },
  },
  {
    name: "mailbox-letter",
    of: "mailbox-letter",
    site: "quiet",
    open: async (page) => {
      await ask("addressee")(page);
      await page.goto("/dev/mailbox");
      await page.getByRole("article").getByRole("heading").getByRole("link").first().click();
      await page.waitForURL(/\/dev\/mailbox\/./);
    },
  },
  {
    name: "mailbox-letter-between",
    of: "mailbox-letter",
    site: "quiet",
    open: async (page) => {
      const who = await ask("collector")(page);
      await steps.askForCode(page, who);
      await page.waitForURL("/reset");
      await page.goto("/dev/mailbox");
      await page.getByRole("article").getByRole("heading").getByRole("link").nth(1).click();
      await page.waitForURL(/\/dev\/mailbox\/./);
      await steps.link(page, "Newer mail").waitFor();
      await steps.link(page, "Older mail").waitFor();
    },
  },
  { name: "400", of: "400", status: 400, open: missing("/dev/mailbox/%ff", 400) },
  { name: "403", of: "403", status: 403, open: crossSite },
  { name: "404", of: "404", status: 404, open: missing("/nowhere", 404) },
  {
    name: "404-logged-in",
    of: "404",
    status: 404,
    open: async (page) => {
      await register("wanderer")(page);
      await missing("/nowhere", 404)(page);
      await steps.button(page, "Log out").waitFor();
    },
  },
  { name: "405", of: "405", status: 405, open: missing("/reset/resend", 405) },
  {
    name: "413",
    of: "413",
    status: 413,
    open: bent(413, () => (document.querySelector("main input").value = "x".repeat(70_000))),
  },
  {
    name: "415",
    of: "unreadable",
    status: 415,
    open: bent(415, () => (document.querySelector("main form").enctype = "text/plain")),
  },
  {
    name: "422",
    of: "unreadable",
    status: 422,
    isForm: false,
    open: bent(422, () => {
      const input = document.querySelector("main input");
      input.after(input.cloneNode());
    }),
  },
  {
    name: "429",
    of: "login",
    status: 429,
    isForm: true,
    site: "strict",
    open: async (page) => {
      const nobody = steps.person("nobody");
      await steps.refused(page, "/login", 422, () => steps.logIn(page, nobody));
      await steps.refused(page, "/login", 429, () => steps.logIn(page, nobody));
    },
  },
  { name: "408", of: "408", status: 408, open: stalledForm },
  { name: "500", of: "500", status: 500, site: "broken", open: brokenDatabase },
  { name: "503", of: "login", status: 503, isForm: true, site: "busy", open: tooBusy },
  { name: "branded-login", of: "login", site: "branded", open: (page) => page.goto("/login") },
  {
    name: "branded-register-refused",
    of: "register",
    status: 422,
    site: "branded",
    open: badRegistration,
  },
  { name: "branded-account-new", of: "account", site: "branded", open: register("reader") },
  { name: "branded-reset", of: "reset", site: "branded", open: ask("borrower") },
  { name: "branded-404", of: "404", status: 404, site: "branded", open: missing("/nowhere", 404) },
  { name: "wordmark-login", of: "login", site: "wordmark", open: (page) => page.goto("/login") },
];
