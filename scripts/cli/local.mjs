import path from 'node:path';
import { ROOT, setUpOrExit } from '../setup.mjs';
import { runNode } from '../setup/run-node.mjs';

/** Commands that run on this machine: the gateway, and tools that read its settings file. */

const program = async (file, args, install) => {
  const { node, env, nodeArgs } = await setUpOrExit('start', { install });
  return runNode(node, [...nodeArgs, path.join(ROOT, 'src', file), ...args], env);
};

/** @param {import('commander').Command} cli */
export function addLocalCommands(cli) {
  cli
    .command('start')
    .description('run the gateway; the first start installs what is missing on this machine')
    .option('--config <file>', 'settings (default: config/gateway.properties)')
    .option('--role <role>', 'node, manager or both')
    .option('--no-install', 'only list what is missing')
    .action(async ({ config, role, install }) =>
      cli.finish(await program('main.ts', [...option('config', config), ...option('role', role)], install)),
    );
  cli
    .command('config')
    .description('the settings file')
    .command('check')
    .description('check the settings: exit code 2 and every mistake')
    .option('--config <file>', 'settings (default: config/gateway.properties)')
    .action(async ({ config }) =>
      cli.finish(await program('main.ts', ['--check', ...option('config', config)], false)),
    );
  cli
    .command('token')
    .description('print a token, signed with jwt_secret of the settings: token --help lists the options')
    .allowUnknownOption()
    .helpOption(false)
    .argument('[options...]')
    .action(async (options) => cli.finish(await program(path.join('access', 'token-main.ts'), options, false)));
}

const option = (name, value) => (value === undefined ? [] : [`--${name}`, value]);
