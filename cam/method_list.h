/* method_list.h - the CAM methods in the order in which they are listed: METHOD(topic) for the
 * cs_cam_method_topic of a file of its own. Included with different meanings of METHOD. */
METHOD(gradcam)
METHOD(gradcam_plusplus)
METHOD(scorecam)
METHOD(hirescam)
METHOD(xgradcam)
METHOD(layercam)
METHOD(gradient)
METHOD(input_x_gradient)
METHOD(integrated_gradients)
