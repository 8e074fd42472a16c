import { describe, expect, it } from 'vitest';
import { matchesAll, parseConstraints } from '../../../../manager/constraint/constraint.ts';
import type { NodeObject } from '../../../../proto/objects/node.ts';
import { WaggleError } from '../../../../proto/runtime/errors.ts';

const bare: NodeObject = {
  ID: 'n1',
  Version: { Index: 1 },
  CreatedAt: '',
  UpdatedAt: '',
  Spec: { Role: 'manager', Availability: 'active' },
  Status: { State: 'ready' },
  CertificateRole: 'worker',
};

const node: NodeObject = {
  ...bare,
  Spec: { Role: 'manager', Availability: 'active', Labels: { zone: 'East', Zone: 'west', 'a.b-c': 'x' } },
  Status: { State: 'ready', Addr: '10.1.2.3' },
  Description: {
    Hostname: 'Host-1',
    Platform: { Architecture: 'x86_64', OS: 'linux' },
    Resources: { NanoCPUs: 1, MemoryBytes: 1 },
    Engine: { EngineVersion: '20', Labels: { disk: 'ssd' } },
  },
};

describe('parseConstraints', () => {
  it.each([
    { id: 'plain', text: 'node.id==abc', key: 'node.id', operator: '==', value: 'abc' },
    { id: 'spaces around', text: '  node.role  !=  manager ', key: 'node.role', operator: '!=', value: 'manager' },
    { id: 'space within the value', text: 'node.labels.a==b c', key: 'node.labels.a', operator: '==', value: 'b c' },
    { id: 'globs are plain text', text: 'node.labels.a==*.?', key: 'node.labels.a', operator: '==', value: '*.?' },
    { id: 'subnet', text: 'node.ip!=10.0.0.0/8', key: 'node.ip', operator: '!=', value: '10.0.0.0/8' },
  ])('reads: $id', ({ text, key, operator, value }) => {
    expect(parseConstraints([text])).toEqual([{ key, operator, value }]);
  });

  it.each([
    { id: 'no operator', text: 'node.id=abc', message: 'constraint expected one operator from ==, !=' },
    { id: 'empty', text: '', message: 'constraint expected one operator from ==, !=' },
    { id: 'no key', text: '==x', message: "key '' is invalid" },
    { id: 'key of one character', text: 'a==x', message: "key 'a' is invalid" },
    { id: 'key begins with a digit', text: '1a==x', message: "key '1a' is invalid" },
    { id: 'no value', text: 'node.id==', message: "value '' is invalid" },
    { id: 'operator in the value', text: 'node.id==a=b', message: "value 'a=b' is invalid" },
    { id: 'both operators', text: 'node.id!=b==c', message: "key 'node.id!=b' is invalid" },
    { id: 'comparison', text: 'node.id==>3', message: "value '>3' is invalid" },
  ])('refuses: $id', ({ text, message }) => {
    const parse = (): unknown => parseConstraints(['node.id==ok', text]);
    expect(parse).toThrow(WaggleError);
    expect(parse).toThrow(message);
  });
});

describe('matchesAll', () => {
  it.each([
    { id: 'none', expressions: [], on: node, fits: true },
    { id: 'id', expressions: ['node.id==n1'], on: node, fits: true },
    { id: 'id differs', expressions: ['node.id!=n1'], on: node, fits: false },
    { id: 'key and value without case', expressions: ['NODE.Hostname==hOST-1'], on: node, fits: true },
    { id: 'whole value only', expressions: ['node.hostname==Host'], on: node, fits: false },
    { id: 'no description ==', expressions: ['node.hostname==Host-1'], on: bare, fits: false },
    { id: 'no description !=', expressions: ['node.hostname!=Host-1'], on: bare, fits: true },
    { id: 'role that it has', expressions: ['node.role==worker'], on: node, fits: true },
    { id: 'os', expressions: ['node.platform.os==linux'], on: node, fits: true },
    { id: 'arch', expressions: ['node.platform.arch!=x86_64'], on: node, fits: false },
    { id: 'label', expressions: ['node.labels.zone==east'], on: node, fits: true },
    { id: 'label names keep their case', expressions: ['Node.Labels.Zone==west'], on: node, fits: true },
    { id: 'label with dots', expressions: ['node.labels.a.b-c==x'], on: node, fits: true },
    { id: 'label missing ==', expressions: ['node.labels.none==x'], on: node, fits: false },
    { id: 'label missing !=', expressions: ['node.labels.none!=x'], on: node, fits: true },
    { id: 'label is not a property of objects', expressions: ['node.labels.toString!=x'], on: bare, fits: true },
    { id: 'engine label', expressions: ['engine.labels.disk==SSD'], on: node, fits: true },
    { id: 'engine label, no description', expressions: ['engine.labels.disk==SSD'], on: bare, fits: false },
    { id: 'prefix alone', expressions: ['node.labels.!=x'], on: node, fits: false },
    { id: 'unknown key ==', expressions: ['node.size==x'], on: node, fits: false },
    { id: 'unknown key !=', expressions: ['node.size!=x'], on: node, fits: false },
    { id: 'ip', expressions: ['node.ip==10.1.2.3'], on: node, fits: true },
    { id: 'ip as mapped v6', expressions: ['node.ip==::ffff:10.1.2.3'], on: node, fits: true },
    { id: 'ip !=', expressions: ['node.ip!=10.1.2.3'], on: node, fits: false },
    { id: 'ip, node has none', expressions: ['node.ip==10.1.2.3'], on: bare, fits: false },
    { id: 'ip !=, node has none', expressions: ['node.ip!=10.1.2.3'], on: bare, fits: true },
    { id: 'subnet', expressions: ['node.ip==10.1.0.0/16'], on: node, fits: true },
    { id: 'subnet with host bits', expressions: ['node.ip==10.1.9.9/16'], on: node, fits: true },
    { id: 'subnet !=', expressions: ['node.ip!=10.1.0.0/16'], on: node, fits: false },
    { id: 'other family', expressions: ['node.ip==2001:db8::/32'], on: node, fits: false },
    { id: 'malformed subnet ==', expressions: ['node.ip==10.1.0.0/33'], on: node, fits: false },
    { id: 'malformed subnet !=', expressions: ['node.ip!=10.1.0.0/33'], on: node, fits: false },
    { id: 'malformed address !=', expressions: ['node.ip!=1'], on: node, fits: false },
    { id: 'all must hold', expressions: ['node.id==n1', 'node.labels.zone==nowhere'], on: node, fits: false },
  ])('$id', ({ expressions, on, fits }) => {
    expect(matchesAll(parseConstraints(expressions), on)).toBe(fits);
  });
});
