import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { addCallCommands } from './call.mjs';
import { addCompletion } from './completion.mjs';
import { addDestinationCommands } from './destinations.mjs';
import { addLocalCommands } from './local.mjs';
import { addOperationCommands } from './operations.mjs';
import { addPushCommands } from './push.mjs';
import { Api } from './api.mjs';
import { print, table } from './output.mjs';

/** Every command asks the gateway; none decides anything itself. */
export async function createProgram() {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
  const program = new Command('webrtc-transponder');
  let exitCode = 0;
  const cli = Object.assign(program, {
    /** Ends the command with this code. @param {number} code */
    finish: (code) => void (exitCode = code),
    /** The gateway that the options name. */
    api: () => new Api({ url: program.opts().url, key: process.env.TRANSPONDER_KEY }),
    json: () => program.opts().json,
    /** Shows a list. @param {string} path @param {object} columns @param {string} noun @param {(found: any) => any[]} [rows] */
    list: async (path, columns, noun, rows = (found) => found) => {
      const found = await cli.api().ask(path);
      print(cli.json(), found, () => table(rows(found), columns, noun));
    },
    /** @param {string[]} argv */
    run: async (argv) => {
      await program.parseAsync(argv).catch((error) => {
        // Help and the version are no failure.
        if (error.exitCode !== 0) throw Object.assign(error, { exitCode: error.code ? 2 : error.exitCode });
      });
      return exitCode;
    },
  });
  program
    .description('Republishes WebRTC streams to RTMP(S) servers. The key is read from TRANSPONDER_KEY.')
    .version(version)
    .option('--url <url>', 'the gateway or manager', process.env.TRANSPONDER_URL ?? 'http://127.0.0.1:8081')
    .option('--json', 'answers as JSON')
    .showHelpAfterError('(--help lists the commands)')
    .exitOverride();
  addLocalCommands(cli);
  addPushCommands(cli);
  addDestinationCommands(cli);
  addCallCommands(cli);
  addOperationCommands(cli);
  addCompletion(cli);
  return cli;
}
