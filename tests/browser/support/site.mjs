// A site of its own for a test: the built binary, in an empty folder, on a free port.

import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const DEBUG_BUILD = fileURLToPath(new URL("../../../target/debug/vestibule", import.meta.url));
export const VESTIBULE = [process.env.VESTIBULE_BINARY ?? DEBUG_BUILD, "serve"];

/** The example application; `cargo build --example notes` makes it. */
export const NOTES = [join(dirname(VESTIBULE[0]), "examples/notes")];

// A test is one visitor who does in a minute what people do in a month.
const NO_LIMITS = {
  VESTIBULE_LIMIT_LOGIN_IP: "off",
  VESTIBULE_LIMIT_LOGIN_ACCOUNT: "off",
  VESTIBULE_LIMIT_REGISTER_IP: "off",
  VESTIBULE_LIMIT_FORGOT_IP: "off",
  VESTIBULE_LIMIT_FORGOT_ACCOUNT: "off",
  VESTIBULE_LIMIT_RESET_ACCOUNT: "off",
  VESTIBULE_LIMIT_MAIL_ADDRESS: "off",
};

/**
 * Starts a site that nobody has visited yet; `settings` are `VESTIBULE_…` variables. `folder` has its
 * data, `invite(address)` emails an invitation, and `approve(name)` approves an account. The second argument is another program's command line.
 */
export async function startSite(settings = {}, [program, ...rest] = VESTIBULE) {
  const folder = mkdtempSync(join(tmpdir(), "vestibule-browser-"));
  const child = spawn(program, rest, {
    cwd: folder,
    env: { VESTIBULE_LISTEN: "127.0.0.1:0", ...NO_LIMITS, ...settings },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ended = new Promise((resolve) => child.once("close", resolve));
  const kill = () => child.kill("SIGKILL");
  process.once("exit", kill);
  process.once("SIGTERM", leave);
  const stop = async () => {
    kill();
    await ended;
    process.off("exit", kill);
    process.off("SIGTERM", leave);
    rmSync(folder, { recursive: true, force: true });
  };
  const user = (...rest) =>
    execFileSync(program, ["user", ...rest], { cwd: folder, env: settings, stdio: "ignore" });
  const invite = (address) => user("invite", address);
  const approve = (name) => user("approve", name);
  try {
    return { url: await address(child), folder, invite, approve, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Ended by the test runner, when a test hangs: what listens for the exit ends with it. */
function leave() {
  process.exit(1);
}

/** The `http://ADDR` that it prints once its socket accepts. */
function address(child) {
  let log = "";
  // Read to the end: a full pipe would stop the program.
  child.stderr.on("data", (chunk) => (log += chunk));
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    const lines = createInterface({ input: child.stdout });
    lines.on("line", (line) => {
      const found = /^listening on (http:\/\/\S+)$/.exec(line);
      if (found) resolve(found[1]);
    });
    lines.once("close", () => reject(new Error(`the site did not start:\n${log}`)));
  });
}
