import t from 'tap';
import { SettingsSchema } from '../../../src/config/schema.ts';
import { ROOM_LIMITS, roomLimits } from '../../../src/rooms/room-limits.ts';

void t.test('the settings give the limits, whose defaults are those of the rooms', async (t) => {
  t.strictSame(roomLimits(SettingsSchema.parse({})), ROOM_LIMITS);
  const changed = roomLimits(
    SettingsSchema.parse({ rooms_max_members: '5', rooms_max_value_kb: '2', rooms_persistent_days: '1' }),
  );
  t.strictSame(changed, { ...ROOM_LIMITS, membersPerScope: 5, valueBytes: 2048, persistentDays: 1 });
  t.notOk(SettingsSchema.safeParse({ rooms_max_object_kb: '129' }).success);
});
