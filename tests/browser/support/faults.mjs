// Faults of a server: each is caused truly, and the page that it answers with is shown.

import { closeSync, openSync, statSync, writeSync } from "node:fs";
import { request } from "node:http";
import { setTimeout } from "node:timers/promises";

import * as steps from "./journey.mjs";

const HEADER = 32;

/** Fills in a login that is right in form, and sends it. */
async function logIn(page, status) {
  await steps.refused(page, "/login", status, () => steps.logIn(page, steps.person("ann")));
}

/** 500: the data behind the headers of the database's files is not what it was. */
export async function brokenDatabase(page, { folder }) {
  for (const name of ["vestibule.db", "vestibule.db-wal"]) {
    const path = `${folder}/${name}`;
    const file = openSync(path, "r+");
    writeSync(file, Buffer.alloc(statSync(path).size - HEADER, 7), 0, undefined, HEADER);
    closeSync(file);
  }
  await logIn(page, 500);
}

/** 503: logs in while others have the one hash thread and the one place before it, for seconds. */
export async function tooBusy(page, { url }) {
  const body = new URLSearchParams({ username: "ann", password: "velvet anchor pudding" });
  const send = () => fetch(`${url}/login`, { method: "POST", headers: { Origin: url }, body });
  let tries = 0;
  const hold = async () => {
    do tries += 1;
    while ((await send()).status === 503);
  };
  // Each tries until it is taken; they end with the site, whose end they may see. A thread that has not
  // taken its work yet refuses the second, so both are in when neither has tried again for a second.
  for (const _ of ["thread", "place"]) hold().catch(() => {});
  for (let before = 0; before !== tries; await setTimeout(1000)) before = tries;
  await logIn(page, 503);
}

/** 408: a form whose end never comes. The browser sends whole forms, so its form gets this answer. */
export async function stalledForm(page, { url }) {
  const answer = await stall(`${url}/login`, url);
  await page.route("**/login", (route) =>
    route.request().method() === "POST" ? route.fulfill(answer) : route.continue());
  await logIn(page, 408);
}

/** Sends the first byte of a form, and answers what the server says when it has waited long enough. */
function stall(url, origin) {
  const headers = { origin, "content-type": "application/x-www-form-urlencoded", "content-length": 100 };
  return new Promise((resolve, reject) => {
    const sent = request(url, { method: "POST", headers }, (answer) => {
      let body = "";
      answer.setEncoding("utf8");
      answer.on("data", (chunk) => (body += chunk));
      answer.once("end", () => resolve({ status: answer.statusCode, headers: answer.headers, body }));
    });
    sent.once("error", reject);
    sent.write("u");
  });
}
