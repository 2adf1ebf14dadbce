// npm run token -- --stream NAME --act ACTIONS: prints a token signed with jwt_secret of the settings. --help lists the options.
import path from 'node:path';
import { ROOT, setUpOrExit } from './setup.mjs';
import { readInstallOption } from './setup/plan.mjs';
import { runNode } from './setup/run-node.mjs';

const { args } = readInstallOption(process.argv.slice(2));
const { node, env } = await setUpOrExit('start', { install: false });
process.exit(await runNode(node, [path.join(ROOT, 'src', 'access', 'token-main.ts'), ...args], env));
