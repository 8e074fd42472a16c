// The protobufjs runtime of the generated code. Long is switched off BEFORE the generated modules are evaluated:
// 64-bit fields are plain numbers, exact up to 2^53-1.
import protobuf from 'protobufjs/minimal.js';

protobuf.util.Long = null;
protobuf.configure();
export default protobuf;
