import { EXIT, Failure } from './failure.mjs';
import { print, table } from './output.mjs';
import { orderOf, target } from './push.mjs';

const DESTINATION_COLUMNS = {
  ID: ({ id }) => id,
  NAME: ({ name }) => name,
  PLATFORM: ({ platform }) => platform,
  URL: ({ destination }) => destination,
  KEY: ({ keyHint }) => keyHint,
  GROUPS: ({ groups }) => groups.join(', '),
  PROBLEM: ({ problem }) => problem,
};
const GROUP_COLUMNS = {
  ID: ({ id }) => id,
  NAME: ({ name }) => name,
  DESTINATIONS: ({ destinationIds }) => destinationIds.join(', '),
  'WHEN PUBLISHED': ({ onPublish }) => onPublish.join(', '),
};
const [DESTINATIONS, GROUPS] = ['api/v1/destinations', 'api/v1/destination-groups'];

/** @param {import('commander').Command & Record<string, any>} cli */
export function addDestinationCommands(cli) {
  const save = async (method, path, body, columns) => {
    const saved = await cli.api().ask(path, { method, body });
    print(cli.json(), saved, () => table([saved], columns, ''));
  };
  const remove = (path) => async (id) => cli.api().ask(`${path}/${encodeURIComponent(id)}`, { method: 'DELETE' });

  const destinations = cli.command('destinations').description('saved destinations, and groups of them');
  destinations
    .command('list', { isDefault: true })
    .description('saved destinations, without their keys')
    .action(() => cli.list(DESTINATIONS, DESTINATION_COLUMNS, 'saved destinations'));
  target(destinations.command('add <name>').description('save a destination'), { saved: false }).action(
    async (name, options) => {
      const order = await orderOf(options);
      if (!order.rtmpUrl && !order.platform) throw new Failure(EXIT.usage, 'Name --to or --platform.');
      await save('POST', DESTINATIONS, { name, ...order }, DESTINATION_COLUMNS);
    },
  );
  target(destinations.command('change <id>').description('change a saved destination; the rest of it stays'), {
    saved: false,
  })
    .option('--name <name>', 'another name')
    .action(async (id, { name, ...options }) =>
      save(
        'PATCH',
        `${DESTINATIONS}/${encodeURIComponent(id)}`,
        { name, ...(await orderOf(options)) },
        DESTINATION_COLUMNS,
      ),
    );
  destinations.command('remove <id>').description('remove a saved destination').action(remove(DESTINATIONS));

  const groups = destinations.command('groups').description('groups of saved destinations');
  const onPublish = ['--on-publish <streams...>', 'streams that go live with the group whenever they are published'];
  groups
    .command('list', { isDefault: true })
    .description('groups')
    .action(() => cli.list(GROUPS, GROUP_COLUMNS, 'groups'));
  groups
    .command('add <name> <destinations...>')
    .description('save a group of saved destinations')
    .option(...onPublish, [])
    .action((name, destinationIds, options) =>
      save('POST', GROUPS, { name, destinationIds, ...options }, GROUP_COLUMNS),
    );
  groups
    .command('change <id> [destinations...]')
    .description('change a group; what is not named stays')
    .option('--name <name>', 'another name')
    .option(...onPublish)
    .action((id, destinationIds, options) =>
      save(
        'PATCH',
        `${GROUPS}/${encodeURIComponent(id)}`,
        { ...(destinationIds.length > 0 && { destinationIds }), ...options },
        GROUP_COLUMNS,
      ),
    );
  groups.command('remove <id>').description('remove a group; its destinations stay').action(remove(GROUPS));
}
