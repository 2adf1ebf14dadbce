// npm run bench -- [--no-install] NAME: installs what is missing, then runs a benchmark of bench/.
import path from 'node:path';
import { ROOT, setUpOrExit } from './setup.mjs';
import { readInstallOption } from './setup/plan.mjs';
import { runNode } from './setup/run-node.mjs';

const { install, args } = readInstallOption(process.argv.slice(2));
const { node, env } = await setUpOrExit('test', { install });
process.exit(await runNode(node, [path.join(ROOT, 'bench', 'main.ts'), ...args], env));
