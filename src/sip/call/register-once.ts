import { GatewayError } from '../../errors.ts';
import type { Flow } from '../transport/flow.ts';
import type { CallAddress } from './account.ts';
import { refusal } from './call-end.ts';
import type { Registration } from './registration.ts';

/** Registers an account for one call. @returns gives the registration up */
export type RegisterOnce = (address: CallAddress, localUri: string, flow: Flow) => Promise<() => void>;

/** @throws {GatewayError} SIP_REGISTER_FAILED */
export const registerOnce =
  (create: (address: CallAddress, localUri: string, flow: Flow) => Registration): RegisterOnce =>
  (address, localUri, flow) =>
    new Promise((resolve, reject) => {
      const registration = create(address, localUri, flow);
      registration.once('registered', () => resolve(() => registration.stop()));
      registration.once('failed', (response, failure) => {
        registration.stop();
        const why = response
          ? refusal(response).message
          : failure === 'timeout'
            ? 'The registrar has not answered within 32 s.'
            : `The registrar cannot be reached (${failure?.message}).`;
        reject(
          new GatewayError(
            'SIP_REGISTER_FAILED',
            `The account could not be registered. ${why} Leave sipRegisterRequired out if the server does not need it.`,
          ),
        );
      });
      registration.start();
    });
