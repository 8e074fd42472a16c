import * as grpc from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import { fromServiceError, toServiceError } from '../../../../proto/rpc/status.ts';
import { type ErrorCode, WaggleError } from '../../../../proto/runtime/errors.ts';

const CODES: [ErrorCode, grpc.status][] = [
  ['invalid-argument', grpc.status.INVALID_ARGUMENT],
  ['failed-precondition', grpc.status.FAILED_PRECONDITION],
  ['out-of-range', grpc.status.OUT_OF_RANGE],
  ['not-found', grpc.status.NOT_FOUND],
  ['already-exists', grpc.status.ALREADY_EXISTS],
  ['permission-denied', grpc.status.PERMISSION_DENIED],
  ['unauthenticated', grpc.status.UNAUTHENTICATED],
  ['unimplemented', grpc.status.UNIMPLEMENTED],
  ['unavailable', grpc.status.UNAVAILABLE],
  ['deadline-exceeded', grpc.status.DEADLINE_EXCEEDED],
  ['resource-exhausted', grpc.status.RESOURCE_EXHAUSTED],
  ['aborted', grpc.status.ABORTED],
  ['internal', grpc.status.INTERNAL],
  ['unknown', grpc.status.UNKNOWN],
];

describe('errors over gRPC', () => {
  it.each(CODES)('%s goes there and back with its words', (code, status) => {
    const sent = toServiceError(new WaggleError(code, 'network é not found'));
    expect(sent).toMatchObject({ code: status, details: 'network é not found' });
    expect(fromServiceError(sent)).toMatchObject({ code, message: 'network é not found' });
  });

  it.each([
    { id: 'a plain error', thrown: new Error('boom'), code: 'unknown', message: 'boom' },
    { id: 'a text', thrown: 'boom', code: 'unknown', message: 'boom' },
    { id: 'a system error', thrown: Object.assign(new Error('x'), { code: 'ENOENT' }), code: 'unknown', message: 'x' },
    {
      id: 'a cancelled call',
      thrown: Object.assign(new Error('x'), {
        code: grpc.status.CANCELLED,
        details: 'gone',
        metadata: new grpc.Metadata(),
      }),
      code: 'aborted',
      message: 'gone',
    },
    {
      id: 'a connection that was refused',
      thrown: Object.assign(new Error('x'), {
        code: grpc.status.UNAVAILABLE,
        details: 'No connection established. Last error: Error: connect ECONNREFUSED 192.0.2.1:2377. Resolution note: ',
        metadata: new grpc.Metadata(),
      }),
      code: 'unavailable',
      message: 'connect ECONNREFUSED 192.0.2.1:2377',
    },
    {
      id: 'a host whose clock is behind',
      thrown: Object.assign(new Error('x'), {
        code: grpc.status.UNAVAILABLE,
        details: 'No connection established. Last error: Error: certificate is not yet valid. Resolution note: ',
        metadata: new grpc.Metadata(),
      }),
      code: 'unavailable',
      message: "certificate is not yet valid by the clock of this host: compare it with the manager's",
    },
    {
      id: 'a call that lost its connection',
      thrown: Object.assign(new Error('x'), {
        code: grpc.status.INTERNAL,
        details: 'Received RST_STREAM with code 0 (Call ended without gRPC status)',
        metadata: new grpc.Metadata(),
      }),
      code: 'unavailable',
      message: 'the other side ended the connection',
    },
    { id: 'ours', thrown: new WaggleError('not-found', 'x'), code: 'not-found', message: 'x' },
  ])('$id', ({ thrown, code, message }) => {
    expect(fromServiceError(thrown)).toMatchObject({ code, message });
  });
});
