// npm start: installs what is missing, then runs the gateway. Arguments: npm start -- [--no-install] [--config FILE]
import path from 'node:path';
import { ROOT, setUpOrExit } from './setup.mjs';
import { readInstallOption } from './setup/plan.mjs';
import { runNode } from './setup/run-node.mjs';

const { install, args } = readInstallOption(process.argv.slice(2));
const { node, env } = await setUpOrExit('start', { install });
process.exit(await runNode(node, [path.join(ROOT, 'src', 'main.ts'), ...args], env));
