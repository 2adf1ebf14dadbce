import { hostRules } from '../fields.ts';

/** Where pushes may go. */
export const destinations = {
  destination_allow_networks: hostRules.default([]),
  destination_deny_hosts: hostRules.default([]),
  destination_allow_hosts: hostRules.default([]),
};
