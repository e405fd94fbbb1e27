// Starts the hotcrate binary that lies beside this file, with Node's built-in modules only.
//
// Only a JavaScript action gets the runner's token for the cache service, and a step at the job's end: that is all
// that this file is for. Whatever goes wrong here leaves the job as it was, without a cache: one notice, exit 0.
// `strict: true` makes it a failure.

'use strict';

const { spawn } = require('node:child_process');
const { appendFileSync, existsSync } = require('node:fs');
const path = require('node:path');

/** Directories below `dist/bin`, by Node's names for system and architecture. */
const TARGETS = {
  'linux-x64': 'x86_64-unknown-linux-musl',
  'linux-arm64': 'aarch64-unknown-linux-musl',
  'darwin-x64': 'x86_64-apple-darwin',
  'darwin-arm64': 'aarch64-apple-darwin',
  'win32-x64': 'x86_64-pc-windows-gnu',
};
const TIERS = ['registry', 'deps', 'workspace', 'sccache', 'tools', 'extra'];

const strict = (process.env.INPUT_STRICT || '').trim().toLowerCase() === 'true';

function findBinary() {
  const name = process.platform === 'win32' ? 'hotcrate.exe' : 'hotcrate';
  const target = TARGETS[`${process.platform}-${process.arch}`];
  const binary = target && path.join(__dirname, 'bin', target, name);
  return binary && existsSync(binary) ? binary : undefined;
}

/** Appends to one of the runner's files. A runner without it gets nothing. */
function tell(variable, lines) {
  const file = process.env[variable];
  if (!file) return;
  try {
    appendFileSync(file, lines.map((line) => `${line}\n`).join(''));
  } catch (error) {
    console.log(`hotcrate: ${variable} cannot be written: ${error.message}`);
  }
}

function annotate(kind, message) {
  const escaped = message.replace(/%/g, '%25').replace(/\r/g, '%0D').replace(/\n/g, '%0A');
  console.log(`::${strict ? 'error' : kind} title=hotcrate::${escaped}`);
}

/** The job goes on as if this action were not there. */
function goOnWithout(kind, reason) {
  annotate(kind, `${reason}: the job goes on without a cache`);
  const outcomes = TIERS.flatMap((tier) => [
    `${tier}-outcome=skipped`,
    `${tier}-matched-key=`,
    `${tier}-reason=${reason.replace(/[\r\n]+/g, ' ')}`,
  ]);
  tell('GITHUB_OUTPUT', ['supported=false', 'cache-hit=false', 'report=', ...outcomes]);
  tell('GITHUB_STATE', ['unsupported=true']);
  process.exitCode = strict ? 1 : 0;
}

function run(stage) {
  if (process.env.STATE_unsupported === 'true') return;
  const binary = findBinary();
  if (!binary) {
    goOnWithout('notice', `hotcrate has no binary for ${process.platform} on ${process.arch}`);
    return;
  }
  const child = spawn(binary, ['action', stage], { stdio: 'inherit', windowsHide: true });
  let stopping = false;
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.on(signal, () => {
      stopping = true;
      child.kill(signal);
    });
  }
  child.on('error', (error) => {
    if (child.pid === undefined) goOnWithout('notice', `hotcrate does not start here (${error.message})`);
  });
  child.on('exit', (code, signal) => {
    if (stopping) {
      process.exitCode = strict ? 1 : 0;
    } else if (signal || (code !== 0 && !strict)) {
      // The binary itself answers 0 whatever happens to the cache: this is a crash, or a system that killed it.
      goOnWithout('warning', `hotcrate ended with ${signal || `status ${code}`}`);
    } else {
      process.exitCode = code;
    }
  });
}

module.exports = { run };
