import { describe, expect, it } from 'vitest';
import { echoRequest, isEchoReply, readFrame } from '../../../../../worker/network/diagnosis/echo-packet.ts';

const MARKER = Buffer.from('0011223344556677', 'hex');
const OTHER = Buffer.from('0011223344556678', 'hex');

/** An IPv4 header without options. */
function ip(protocol: number, payload: Buffer): Buffer {
  const header = Buffer.alloc(20);
  header.writeUInt8(0x45, 0);
  header.writeUInt8(protocol, 9);
  header.set([192, 168, 0, 1], 12);
  header.set([192, 168, 0, 2], 16);
  return Buffer.concat([header, payload]);
}

function ethernet(payload: Buffer): Buffer {
  const header = Buffer.alloc(14);
  header.writeUInt16BE(0x0800, 12);
  return Buffer.concat([header, payload]);
}

function tunnelled(frame: Buffer, port: number): Buffer {
  const udp = Buffer.alloc(8);
  udp.writeUInt16BE(port, 2);
  return ethernet(ip(17, Buffer.concat([udp, Buffer.alloc(8), frame])));
}

function reply(request: Buffer): Buffer {
  const bytes = Buffer.from(request);
  bytes.writeUInt8(0, 0);
  return bytes;
}

describe('echo packets', () => {
  const request = echoRequest(MARKER, 3, 84);

  it('have the asked size and a checksum that adds up (RFC 1071)', () => {
    expect(request).toHaveLength(64);
    let sum = 0;
    for (let at = 0; at < request.length; at += 2) sum += request.readUInt16BE(at);
    expect(((sum & 0xffff) + (sum >>> 16)) & 0xffff).toBe(0xffff);
  });

  it.each([
    { id: 'the answer', packet: reply(request), sequence: 3, is: true },
    { id: 'the request itself', packet: request, sequence: 3, is: false },
    { id: 'the answer to another one', packet: reply(request), sequence: 4, is: false },
    { id: 'one with another marker', packet: reply(echoRequest(OTHER, 3, 84)), sequence: 3, is: false },
    { id: 'one cut short', packet: reply(request).subarray(0, 10), sequence: 3, is: false },
  ])('are told from the answer: $id', ({ packet, sequence, is }) => {
    expect(isEchoReply(ip(1, packet), MARKER, sequence)).toBe(is);
  });

  const bare = ethernet(ip(1, request));
  it.each([
    { id: 'bare request', frame: bare, found: { packet: 'request', tunnelTo: '' } },
    { id: 'bare reply', frame: ethernet(ip(1, reply(request))), found: { packet: 'reply', tunnelTo: '' } },
    { id: 'in a tunnel', frame: tunnelled(bare, 4789), found: { packet: 'request', tunnelTo: '192.168.0.2' } },
    { id: 'in a tunnel of another port', frame: tunnelled(bare, 4790), found: undefined },
    { id: 'of another trace', frame: ethernet(ip(1, echoRequest(OTHER, 1, 84))), found: undefined },
    { id: 'cut short', frame: bare.subarray(0, 45), found: undefined },
    { id: 'empty', frame: Buffer.alloc(0), found: undefined },
    { id: 'a tunnel cut short', frame: tunnelled(bare, 4789).subarray(0, 60), found: undefined },
  ])('are found in frames: $id', ({ frame, found }) => {
    expect(readFrame(frame, MARKER, 4789)).toEqual(found);
  });
});
