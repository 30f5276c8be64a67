#pragma once

/// Output of a small network whose weights are packed, under the kernels that are chosen now.
float packed_output();
