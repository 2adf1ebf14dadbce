#!/usr/bin/env node
// The command line: npx webrtc-transponder COMMAND. docs/cli.md lists the commands and exit codes.
import { createProgram } from './cli/program.mjs';
import { exitCodeOf, report } from './cli/failure.mjs';

try {
  process.exitCode = (await (await createProgram()).run(process.argv)) ?? 0;
} catch (error) {
  report(error);
  process.exitCode = exitCodeOf(error);
}
